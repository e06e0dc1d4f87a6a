"""The table of runs at the end of a command with -m, on the screen and as files in the same directory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from src.run.table import (
    Run,
    epochs,
    number,
    read_run,
    run_directories,
    short,
    show_table,
    write_runs,
)
from src.utils.files import shown_path
from src.utils.table import Column, show_lines

_LONGEST_NUMBER = 8  # characters; longer values are rounded
_OVERRIDES = Path(".hydra/overrides.yaml")  # what Hydra saves of a job's command line


def show_multirun(directory: Path) -> None:
    """Print a table of the runs of a multirun, and write all columns to runs.csv and runs.md."""
    runs = [read_run(path) for path in run_directories(directory)]
    if not any((run.directory / name).exists() for run in runs for name in ("run.json", "test_results.json")):
        return  # the command neither trains nor tests
    show(_with_overrides(sorted(runs, key=lambda run: job_order(run.directory))), directory)


def show(runs: list[Run], directory: Path, title: str = "", caption: str = "") -> None:
    """Write the runs of one command to files in its directory, then print them."""
    saved = _save(runs, directory)
    keys = [key for run in runs for key in run.overrides]
    names = {key: key.rpartition(".")[2] for key in keys}
    short_names = {key: name if list(names.values()).count(name) == 1 else key for key, name in names.items()}

    def overrides(run: Run) -> str:
        return " ".join(f"{short_names[key]}={rounded(value)}" for key, value in run.overrides.items())

    def state(run: Run) -> str:
        return short(f"{run.state}: {run.cause}" if run.cause else run.state)

    cells = (
        (Column("directory", text=True), lambda run: str(run.directory.relative_to(directory))),
        (Column("overrides", text=True), overrides),
        (Column("epochs"), epochs),
        (Column("best"), lambda run: number(run.best)),
        (Column("test"), lambda run: number(run.test)),
        (Column("seconds"), lambda run: "" if run.seconds is None else f"{run.seconds:.0f}"),
        (Column("state", text=True), state),
    )
    if not caption:
        metrics = ", ".join(dict.fromkeys(run.metric for run in runs if run.metric)) or "the monitored metric"
        caption = f"best, test: {metrics} of the best epoch, on the validation and the test split"
    show_table(runs, cells, title, caption)
    show_lines(f"directories are below {shown_path(directory)}", saved)


def rounded(value: str) -> str:
    """Return a value for the screen; a decimal number with many digits is rounded to four."""
    if len(value) > _LONGEST_NUMBER and value.count(".") == 1:
        try:
            return f"{float(value):.4g}"
        except ValueError:
            pass
    return short(value)


def _save(runs: list[Run], directory: Path) -> str:
    """Write the files; return a sentence that says where they are, or why they could not be written."""
    try:
        csv_path, _ = write_runs(runs, directory / "runs")
    except OSError as error:
        return f"runs.csv and runs.md cannot be written there ({error.strerror})"
    return f"all columns are in {csv_path.name} and runs.md there"


def _with_overrides(runs: list[Run]) -> list[Run]:
    """Return the runs, each with only those overrides that differ between runs."""
    given = [read_overrides(run.directory) for run in runs]
    keys = list(dict.fromkeys(key for overrides in given for key in overrides))
    differing = [key for key in keys if len({overrides.get(key) for overrides in given}) > 1]
    return [
        replace(run, overrides={key: overrides[key] for key in differing if key in overrides})
        for run, overrides in zip(runs, given, strict=True)
    ]


def read_overrides(directory: Path) -> dict[str, str]:
    """Return what a job's command line set, as Hydra saved it; empty if that cannot be read."""
    try:
        words: Any = yaml.safe_load((directory / _OVERRIDES).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    pairs = [word.partition("=") for word in words if isinstance(word, str)] if isinstance(words, list) else []
    return {key: value for key, _, value in pairs}


def job_order(directory: Path) -> tuple[bool, int, str]:
    """Sort the directories of jobs by number; those with other names come last."""
    name = directory.name
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
