"""A table of training runs: the model and dataset of each, its progress, and its best and test errors.

It is made from the files in run directories. Their contents are not trusted: damaged files do not prevent the table.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from src.run.lock import is_in_use
from src.run.record import read_record
from src.utils.files import write_atomic
from src.utils.table import Column, csv_text, markdown, show

_OUTCOMES = ("finished", "interrupted", "killed")
_LONGEST = 160  # characters of a cell on the screen; the CSV file holds the whole text
_LARGEST_BYTES = 2**21  # of a file of results, as of a record
_LARGEST_COUNT = 2**33  # of parameters, or a seed


@dataclass(frozen=True)
class Run:
    """One row of the table; a value that a run's files do not hold is None or an empty text."""

    directory: Path
    state: str  # running, finished, pruned, interrupted, failed, killed, or damaged (its record is unreadable)
    cause: str = ""  # of a failure
    started: datetime | None = None  # of the last session
    name: str = ""
    tags: tuple[str, ...] = ()
    dataset: str = ""
    samples: str = ""  # the dataset in short: its synth and its size
    model: str = ""
    epochs: int | None = None
    planned_epochs: int | None = None
    metric: str = ""
    best: float | None = None
    test: float | None = None  # the same metric on the test split
    seconds: float | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)


Cells = Sequence[tuple[Column, Callable[[Run], str]]]


def find_runs(root: Path) -> list[Run]:
    """Return all runs in a directory tree, the newest last."""
    runs = [read_run(directory) for directory in run_directories(root)]
    return sorted(runs, key=lambda run: (run.started.timestamp() if run.started else 0.0, str(run.directory)))


def run_directories(root: Path) -> Iterator[Path]:
    """Yield the directories below `root` that hold a run's record or the config that Hydra saves for a job."""
    for directory, folders, files in os.walk(root):
        if "run.json" in files or ".hydra" in folders:
            folders.clear()
            yield Path(directory)


def read_run(directory: Path) -> Run:
    """Read a run from the files in its directory."""
    results = _read_json(directory / "test_results.json")
    sessions = read_record(directory)
    if not sessions:
        has_record = (directory / "run.json").exists()
        state = "damaged" if has_record else "finished" if results else "failed"  # it failed before training
        return Run(directory, state, test=_metric(results, "test/nmae"))
    session = sessions[-1]
    started, ended = _time(session.get("started")), _time(session.get("ended"))
    given = session.get("data")
    data = given if isinstance(given, dict) else {}
    dataset, synth, samples = as_text(data.get("name")), as_text(data.get("synth")), as_count(data.get("samples"))
    metric = as_text(session.get("monitor"))
    tags = session.get("tags")
    return Run(
        directory=directory,
        state=_state(directory, session["outcome"], session.get("pruned") is True),
        cause=session["outcome"].removeprefix("failed: ") if session["outcome"].startswith("failed") else "",
        started=started,
        name=as_text(session.get("name")),
        tags=tuple(map(as_text, tags)) if isinstance(tags, list) else (),
        dataset=dataset,
        samples=f"{synth} {samples:,}" if samples and synth and synth in dataset else dataset,
        model=as_text(session.get("model")),
        epochs=as_count(session.get("epochs")),
        planned_epochs=as_count(session.get("planned_epochs")),
        metric=metric,
        best=_number(session.get("score")),
        test=_metric(results, f"test/{metric.removeprefix('val/') or 'nmae'}"),
        seconds=(ended - started).total_seconds() if started and ended else None,
    )


def show_table(runs: Sequence[Run], cells: Cells, title: str = "", caption: str = "") -> None:
    """Print a row for each run, without the columns that are empty for all runs."""
    filled = [(column, cell) for column, cell in cells if not runs or any(cell(run) for run in runs)]
    rows = [[cell(run) for _, cell in filled] for run in runs]
    show([column for column, _ in filled], rows, title, short(caption))


def show_overview(runs: Sequence[Run], root: Path) -> None:
    """Print the table of all runs in a directory tree."""
    usual = Counter(run.metric for run in runs if run.metric).most_common(1)
    metric = usual[0][0] if usual else "val/nmae"

    def name(run: Run) -> str:
        tags = f"[{', '.join(run.tags)}]" if run.tags else ""
        kind, *place = run.directory.relative_to(root).parts or ("",)
        number_of = {"sweeps": "/".join(place), "multiruns": f"multirun/{place[-1] if place else ''}"}
        fallback = number_of.get(kind, "")
        chosen_by = f" by {run.metric}" if run.metric not in ("", metric) else ""
        return short(f"{run.name or fallback} {tags}".strip() or "-") + chosen_by

    cells = (
        (Column("started", text=True), lambda run: run.started.strftime("%Y-%m-%d %H:%M") if run.started else "-"),
        (Column("name [tags]", text=True), name),
        (Column("dataset", text=True), lambda run: short(run.samples or "-")),
        (Column("model", text=True), lambda run: short(run.model or "-")),
        (Column("epochs"), epochs),
        (Column("best"), lambda run: number(run.best)),
        (Column("test"), lambda run: number(run.test)),
        (Column("state"), lambda run: run.state),
    )
    caption = f"best, test: {metric} of the best epoch, on the validation and the test split"
    show_table(runs, cells, caption=caption)


def write_runs(runs: Sequence[Run], stem: Path) -> list[Path]:
    """Write all columns of the runs to STEM.csv and STEM.md; return the paths."""
    keys = list(dict.fromkeys(key for run in runs for key in run.overrides))
    columns = [field.name for field in fields(Run) if field.name not in ("samples", "overrides")]
    names = [*columns, *keys]
    rows = []
    for run in runs:
        cells = [_in_full(getattr(run, column)) for column in columns]
        rows.append(cells + [run.overrides.get(key, "") for key in keys])
    text = io.StringIO(newline="")
    csv.writer(text).writerows([map(csv_text, row) for row in (names, *rows)])
    contents = (text.getvalue(), markdown([Column(name, text=True) for name in names], rows) + "\n")
    paths = [stem.with_suffix(".csv"), stem.with_suffix(".md")]
    for path, content in zip(paths, contents, strict=True):
        write_atomic(path, content.encode(errors="backslashreplace"))
    return paths


def number(value: float | None) -> str:
    """Return an error with four digits, or an empty text for None."""
    return "" if value is None else f"{value:.4g}"


def epochs(run: Run) -> str:
    """Return the number of epochs that a run has completed, and the number that its limits allow."""
    if run.epochs is None:
        return ""
    return f"{run.epochs}/{run.planned_epochs}" if run.planned_epochs else str(run.epochs)


def short(text: str) -> str:
    """Return a text, without its middle if it is too long for a cell."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


def _in_full(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value)


def _state(directory: Path, outcome: str, pruned: bool) -> str:
    if pruned and outcome == "finished":
        return "pruned"
    if outcome.startswith("failed"):
        return "failed"
    if outcome != "running":
        return outcome if outcome in _OUTCOMES else "damaged"
    try:
        return "running" if is_in_use(directory) else "killed"
    except OSError:  # a read-only file system
        return "running"


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty object if there is none."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return {}
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _metric(results: Mapping[str, Any], name: str) -> float | None:
    metrics = results.get("metrics")
    return _number(metrics.get(name)) if isinstance(metrics, dict) else None


def as_text(value: Any) -> str:
    """Return a text of a record, or an empty text for anything else."""
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e300 else None


def as_count(value: Any) -> int | None:
    """Return a count of a record, or None for anything else."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_COUNT
    return value if is_count else None


def _time(value: Any) -> datetime | None:
    """Return an ISO time in this machine's time zone."""
    try:
        return datetime.fromisoformat(as_text(value)).astimezone()
    except (ValueError, OverflowError, OSError):
        return None
