"""Searching: trials of a study, each trained by one job of a launcher."""

import functools
import itertools
import logging
import shlex
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import Trial, TrialState

from src.utils.errors import Interrupted, UserError, first_line
from src.utils.locks import alive, locked
from src.utils.sweep_best import write_best
from src.utils.sweep_study import (
    COMMAND,
    FIXED,
    KILLED,
    MONITOR,
    OWNER,
    STORAGE_ERRORS,
    WANTED,
    counts,
    fail,
    open_study,
)
from src.utils.sweep_trials import left_behind, refuse_hopeless, take_over, tell
from src.utils.workers import worker_died

log = logging.getLogger(__name__)

_WHERE = (  # words that say where a trial runs and what is shown, not what it trains
    *("hparams_search", "logger", "trainer", "trainer.accelerator", "trainer.devices", "test"),
    "trainer.enable_progress_bar",
    *("data.device_cache", "data.num_workers", "callbacks.rich_progress_bar"),
)
_WHERE_ALL = ("extras.", "logger.", "paths.")  # and all that begin so
_SHARING = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)

Launch = Callable[..., Sequence[JobReturn]]


def split(params: Mapping[str, Any], arguments: list[str]) -> tuple[dict[str, str], dict[str, BaseDistribution]]:
    """Return a sweep's overrides by key: the fixed ones, and what is searched; the command line's come last."""
    words = [f"{key}={'null' if value is None else value}" for key, value in params.items()] + arguments
    fixed, space = {}, {}
    for override in OverridesParser.create().parse_overrides(words):
        key = override.get_key_element()
        fixed.pop(key, None)
        for searched in [one for one in space if one.lstrip("+~") == key.lstrip("+~")]:
            del space[searched]
        if override.is_sweep_override():
            space[key] = create_optuna_distribution_from_override(override)
        else:
            fixed[key] = override.input_line
    if not space:
        example = "model.optimizer.lr=interval(0.001,0.1)"
        raise UserError(f"hydra.sweeper.params: nothing is searched; give a range, as in {example}")
    return fixed, space


def search(
    launch: Launch,
    config: DictConfig,
    arguments: list[str],
    *,
    study_name: str,
    storage: str,
    sampler: Any,
    pruner: Any,
    n_trials: int,
    n_jobs: int,
    max_failure_rate: float,
    params: Mapping[str, Any],
    trial: None = None,
) -> Study:
    """Run trials until the study has `n_trials`, those of other starts and processes counted; return the study."""
    if not storage or callable(sampler):  # Hydra leaves a grid's sampler to be called
        key = "hydra/sweeper/sampler: a grid" if storage else "hydra.sweeper.storage: nothing"
        raise UserError(f"{key} given; a study is kept in a database, and a grid is -m alone, with lists of values")
    opened = functools.partial(open_study, study_name, storage, sampler, pruner)
    fixed, space = split(params, arguments)
    directory = Path(config.hydra.sweep.dir)
    study, owner, batches = opened(), f"{uuid.uuid4().hex[:12]}.lock", []

    def next_batch() -> list[Trial]:
        """Return the next trials, none where the study has all: two sweeps at once would both ask for the last one."""
        for wait in (False, True):  # for what dead sweeps have left running, once nothing else is to be done
            take_over(study, directory, wait)
            with locked(directory / "asking"):
                if not batches:
                    _describe(study, directory, fixed, n_trials, config.monitor)
                missing = n_trials - sum(map(counts, study.get_trials(deepcopy=False)))
                if asked := [_ask(study, space, owner) for _ in range(min(n_jobs, missing))]:
                    return asked
        return []

    with _told_when_away(study_name), alive(directory / owner):
        try:
            while batch := next_batch():
                batches.append([one.number for one in batch])
                jobs = _run(launch, [_overrides(fixed, one) for one in batch], batch, directory)
                study = opened()  # the one that asked for the trials never looks at what their jobs have written
                for one, job in zip(batch, jobs, strict=True):
                    tell(study, one.number, job)
                with locked(directory / "asking"):
                    write_best(directory, study, config.hydra.runtime.choices)
                refuse_hopeless(study, batches, max_failure_rate)
        except (KeyboardInterrupt, SystemExit) as error:
            trials = study.get_trials(deepcopy=False)
            for number in itertools.chain(*batches):
                if trials[number].state == TrialState.RUNNING:
                    fail(study, trials[number], KILLED)
            done = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
            advice = f"study {study_name} has {done} of {n_trials} trials, and the same command goes on with it"
            status = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 0
            raise Interrupted(f"interrupted; {advice}", status - 128 if status > 128 else signal.SIGINT) from error
    (directory / owner).unlink(missing_ok=True)  # else it stays, and shows the next start the trials of this one
    if not batches:
        log.info("study %s has its %d trials; a larger hydra.sweeper.n_trials adds to them", study_name, n_trials)
    return study


@contextmanager
def _told_when_away(study_name: str) -> Iterator[None]:
    """UserError when the database is not there, and does not come back either."""
    try:
        yield
    except STORAGE_ERRORS as error:
        cause = first_line(error.__cause__ or error)
        advice = f"once the database is there, the same command goes on with study {study_name}"
        raise UserError(f"hydra.sweeper.storage: {cause}; {advice}") from error


def _describe(study: Study, directory: Path, fixed: Mapping[str, str], n_trials: int, monitor: str) -> None:
    """Write down what all trials share; UserError when those that are there share something else."""
    relevant = {key: word for key, word in fixed.items() if not _says_where(key)}
    before = {key: word for key, word in study.user_attrs.get(FIXED, relevant).items() if not _says_where(key)}
    start = "hydra.sweeper.study_name=... starts another"
    if before != relevant and study.get_trials(deepcopy=False, states=_SHARING):
        there = ", ".join(word for key, word in before.items() if relevant.get(key) != word) or "no such word"
        asked = ", ".join(word for key, word in relevant.items() if before.get(key) != word) or "none"
        raise UserError(f"study {study.study_name}: its trials have {there}, where {asked} is asked for; {start}")
    if (directory / "0").exists() and not study.get_trials(deepcopy=False):
        raise UserError(f"{directory}: holds the trials of another study; move it away, or {start}")
    command = shlex.join(["python", *sys.argv])
    for key, value in ((FIXED, relevant), (COMMAND, command), (MONITOR, monitor), (WANTED, n_trials)):
        study.set_user_attr(key, value)


def _says_where(key: str) -> bool:
    plain = key.lstrip("+~").split("@")[0]
    return plain in _WHERE or plain.startswith(_WHERE_ALL)


def _ask(study: Study, space: Mapping[str, BaseDistribution], owner: str) -> Trial:
    trial = study.ask()
    trial.set_user_attr(OWNER, owner)
    try:
        for key, distribution in space.items():
            trial._suggest(key, distribution)
    except ValueError as error:  # choices that differ from those of its other trials
        fail(study, trial, KILLED)
        name = study.study_name
        raise UserError(f"{key}: study {name} has other choices; hydra.sweeper.study_name=... starts anew") from error
    return trial


def _overrides(fixed: Mapping[str, str], trial: Trial) -> list[str]:
    chosen = [f"{key}={value}" for key, value in trial.params.items()]
    return [*fixed.values(), *chosen, f"hydra.sweep.subdir={trial.number}", f"hydra.sweeper.trial={trial.number}"]


def _run(launch: Launch, words: list[list[str]], batch: Sequence[Trial], directory: Path) -> Sequence[JobReturn]:
    """Return what the trials' jobs came to, also where the process of one of them has died."""
    try:
        return launch(words, initial_job_idx=batch[0].number)
    except worker_died() as error:
        log.warning("a trial's process has died: %s", first_line(error))
        return [left_behind(directory / str(one.number)) for one in batch]
