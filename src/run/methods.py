"""Tested runs, and which of them are the same method: trained with the same config, apart from the seed."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from src.evaluation.predictions_file import FILE, SplitPredictions, read_predictions_file
from src.evaluation.reports.comparison.comparison import MethodFacts
from src.evaluation.reports.curves import read_curves
from src.run.multirun_table import job_order, read_overrides
from src.run.record import last_session, read_record
from src.run.table import as_count, as_text, run_directories
from src.utils.errors import UserError, did_you_mean, printable
from src.utils.files import path_text, shown_path

# keys of a config that change no weight, or only their chance
_NOT_OF_THE_METHOD = ("seed", "name", "tags", "task_name", "paths", "logger", "extras", "resume", "trust")
_NOT_OF_THE_NAME = ("seed", "tags", "hydra.", "hydra/", "paths.", "logger", "extras.", "trainer.enable_progress_bar")
_LONGEST_NAME = 24  # letters, so that names are headings of columns
_LARGEST_BYTES = 2**21  # of a config, as of a record
_COMMIT = 10  # digits that tell the commits of a repository apart


@dataclass(frozen=True)
class TestedRun:
    """A run that wrote predictions.npz; what its files do not tell is None or empty."""

    path: Path  # of predictions.npz
    directory: Path  # of the training, where run.json is
    predictions: SplitPredictions
    name: str
    model: str
    seed: int | None
    config: str  # as text, without the seed and without paths
    overrides: Mapping[str, str]
    num_parameters: int | None
    training_seconds: float | None  # of all sessions; validation and checkpoints included
    hardware: str
    commit: str

    @property
    def checkpoint(self) -> Path:
        """The file of the weights that were tested."""
        recorded = Path(str(self.predictions.about.get("checkpoint")))
        return recorded if recorded.is_file() else self.directory / "checkpoints/best.ckpt"  # if the run was moved


def find_predictions(given: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files of predictions of runs, and the directories of runs that have none.

    A run is given as its directory, or as a predictions.npz. Any other directory stands for all runs below it.
    """
    files, without = [], []
    for path in given:
        if not path.is_dir() or (path / FILE).exists():
            files.append(path / FILE if path.is_dir() else path)
            continue
        directories = sorted(run_directories(path), key=job_order)
        if not directories:
            raise UserError(f"{path_text(path)}: holds no run; give a directory of logs/train/runs, or a {FILE}")
        if directories == [path]:
            raise UserError(f"{path_text(path)}: has no {FILE}; give the directory in which src/eval.py writes it")
        files += [directory / FILE for directory in directories if (directory / FILE).exists()]
        without += [directory for directory in directories if not (directory / FILE).exists()]
    return files, without


def read_tested(path: Path) -> TestedRun:
    """Read a run from its predictions.npz and the files of its training; raise UserError for damaged predictions."""
    predictions = read_predictions_file(path)
    directory = path.parent
    checkpoint = predictions.about.get("checkpoint")
    if not (directory / "run.json").exists() and isinstance(checkpoint, str):  # written by src/eval.py
        directory = Path(checkpoint).parent.parent
    sessions = read_record(directory)
    last: Mapping[str, Any] = sessions[-1] if sessions else {}
    seconds = [session.get("training_seconds") for session in sessions]
    known = [float(taken) for taken in seconds if isinstance(taken, int | float)]
    hardware, git = last.get("hardware"), last.get("git")
    return TestedRun(
        path=path,
        directory=directory,
        predictions=predictions,
        name=as_text(last.get("name")),
        model=as_text(last.get("model")),
        seed=as_count(last.get("seed")),
        config=_config(directory),
        overrides=read_overrides(directory),
        num_parameters=as_count(last.get("num_parameters")),
        training_seconds=sum(known) if known and len(known) == len(seconds) else None,
        hardware=_hardware(hardware) if isinstance(hardware, dict) else "",
        commit=as_text(git.get("commit")) if isinstance(git, dict) else "",
    )


def group_methods(runs: Sequence[TestedRun]) -> dict[str, list[TestedRun]]:
    """Return the runs of each method, by a name that tells it from the others.

    Runs of one config with different seeds are one method. A second run with the same config and seed begins another
    method: what it may show is not the config. If all runs are of one method, each is compared with the others.
    """
    times: Counter[tuple[str, int | None]] = Counter()
    groups: dict[tuple[str, int], list[TestedRun]] = {}
    for at, run in enumerate(runs):
        config = run.config or f"unknown {at}"
        groups.setdefault((config, times[config, run.seed]), []).append(run)
        times[config, run.seed] += 1
    methods = list(groups.values()) if len(groups) > 1 else [[run] for run in runs]
    return dict(zip(_names(methods), methods, strict=True))


def method_of(baseline: str, methods: Mapping[str, Sequence[TestedRun]]) -> str:
    """Return the method that a user means by its name or by the path of one of its runs."""
    if baseline in methods:
        return baseline
    given = Path(baseline).expanduser().resolve()
    for name, runs in methods.items():
        if any(given in (run.path.resolve(), run.path.parent.resolve()) for run in runs):
            return name
    raise UserError(f"baseline: '{baseline}' is neither one of the runs nor a method.{did_you_mean(baseline, methods)}")


def facts(runs: Sequence[TestedRun], latency_ms: float | None) -> MethodFacts:
    """Return what the runs of a method cost."""
    sizes = {run.num_parameters for run in runs}
    seconds = [run.training_seconds for run in runs if run.training_seconds is not None]
    return MethodFacts(
        runs=tuple(path_text(run.path.parent) for run in runs),
        seeds=tuple(run.seed for run in runs),
        num_parameters=sizes.pop() if len(sizes) == 1 else None,
        training_seconds=mean(seconds) if len(seconds) == len(runs) else None,
        latency_ms=latency_ms,
        hardware=_known(run.hardware for run in runs),
        commits=_known(run.commit[:_COMMIT] for run in runs),
    )


def learning_curves(methods: Mapping[str, Sequence[TestedRun]]) -> list[dict[str, Any]]:
    """Return the curve of each run's metric that chose its checkpoint, as data of a page; see `write_page`."""
    curves = []
    for at, (name, runs) in enumerate(methods.items()):
        for run in runs:
            found = read_curves(run.directory, last_session(run.directory))
            if found is not None:
                line = found["groups"][-1]["lines"][-1]
                label = name if len(runs) == 1 else f"{name}, {_seed(run)}"
                of_run = {"method": at, "name": label, "metric": line["name"], "points": line["points"]}
                curves.append(of_run | {"chosen": found["chosen"]})
    return curves


def _known(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if text}))


def notes_on(methods: Mapping[str, Sequence[TestedRun]]) -> list[str]:
    """Return what letters stand for, and what else differs between the runs."""
    runs = [run for of_method in methods.values() for run in of_method]
    notes = []
    if [*methods] == [_letter(at) for at in range(len(methods))]:
        for name, of_method in methods.items():
            notes.append(f"{name}: {', '.join(shown_path(run.path.parent) for run in of_method)}")
    hardware = sorted({run.hardware for run in runs if run.hardware})
    if len(hardware) > 1:
        notes.append(f"Training times are not comparable: the runs were trained on {'; '.join(hardware)}.")
    if len({run.commit for run in runs if run.commit}) > 1:
        notes.append("The runs were trained at different commits of the code.")
    return notes


def _names(methods: Sequence[Sequence[TestedRun]]) -> list[str]:
    """Return what the user called each method, or how its command or model differs, or else letters."""
    firsts = [of_method[0] for of_method in methods]
    differing = [words or run.model for words, run in zip(_differing(firsts), firsts, strict=True)]
    candidates = [[run.name for run in firsts], differing, [run.model for run in firsts]]
    if len({run.config for run in firsts}) == 1:
        candidates.append([_seed(run) for run in firsts])
    for names in candidates:
        names = [printable(name) for name in names]
        usable = all(0 < len(name) <= _LONGEST_NAME for name in names)
        if usable and len(set(names)) == len(names):
            return names
    return [_letter(at) for at in range(len(methods))]


def _differing(runs: Sequence[TestedRun]) -> list[str]:
    """Return the values of each run's overrides that differ between runs; for numbers and switches with their key."""
    keys = list(dict.fromkeys(key for run in runs for key in run.overrides))
    of_method = [key for key in keys if not key.startswith(_NOT_OF_THE_NAME) and key != "name"]
    differing = [key for key in of_method if len({run.overrides.get(key) for run in runs}) > 1]
    return [" ".join(_setting(key, run.overrides[key]) for key in differing if key in run.overrides) for run in runs]


def _setting(key: str, value: str) -> str:
    return value if value[:1].isalpha() and value not in ("true", "false", "null") else f"{key.split('.')[-1]}={value}"


def _seed(run: TestedRun) -> str:
    return "" if run.seed is None else f"seed {run.seed}"


def _letter(at: int) -> str:
    """Return A to Z, then A1, B1, ..."""
    times, letter = divmod(at, 26)
    return f"{chr(ord('A') + letter)}{times or ''}"


def _config(directory: Path) -> str:
    """Return the config that Hydra saved for a run, without what does not make its method; empty if there is none.

    The file is not parsed: its keys at the top are split by their indentation.
    """
    path = directory / ".hydra/config.yaml"
    try:
        text = path.read_text() if path.stat().st_size < _LARGEST_BYTES else ""
    except (OSError, ValueError):
        return ""
    blocks = re.split(r"^(?=[A-Za-z_])", text, flags=re.MULTILINE)
    return "".join(sorted(block for block in blocks if block.partition(":")[0] not in _NOT_OF_THE_METHOD))


def _hardware(hardware: Mapping[str, Any]) -> str:
    gpus = hardware.get("gpus")
    names = ", ".join(map(str, gpus)) if isinstance(gpus, list) else ""
    threads = hardware.get("threads")
    return names or f"{hardware.get('cpu')}, {threads} thread{'' if threads == 1 else 's'}"
