"""A hyperparameter search: the trials of a study, each trained by one job of a launcher."""

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
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from optuna import distributions
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study
from optuna.trial import Trial, TrialState

from src.search.best import write_best
from src.search.study import (
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
from src.search.trials import left_behind, refuse_hopeless, take_over, tell
from src.utils.errors import Interrupted, UserError, first_line
from src.utils.locks import alive, locked
from src.utils.workers import worker_died

log = logging.getLogger(__name__)

_WHERE = (  # overrides of where a trial runs and what it shows, which do not change what it trains
    *("hparams_search", "logger", "trainer", "trainer.accelerator", "trainer.devices", "test"),
    *("data.device_cache", "data.num_workers", "callbacks.rich_progress_bar", "callbacks.epoch_log", "name", "tags"),
    "trainer.enable_progress_bar",
)
_WHERE_ALL = ("extras.", "logger.", "paths.")  # and all keys that begin with these
_SHARING = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)

Launch = Callable[..., Sequence[JobReturn]]


def split(params: Mapping[str, Any], arguments: list[str]) -> tuple[dict[str, str], dict[str, BaseDistribution]]:
    """Return a sweep's overrides that all trials share, by key, and its search space; the command line has priority."""
    words = [f"{key}={'null' if value is None else value}" for key, value in params.items()] + arguments
    fixed: dict[str, str] = {}
    space: dict[str, BaseDistribution] = {}
    for override in OverridesParser.create().parse_overrides(words):
        key = override.get_key_element()
        fixed.pop(key, None)
        space = {name: values for name, values in space.items() if name.lstrip("+~") != key.lstrip("+~")}
        if override.is_sweep_override():
            space[key] = distribution(override)
        else:
            fixed[key] = str(override.input_line)
    if not space:
        example = "model.optimizer.lr=interval(0.001,0.1)"
        raise UserError(f"hydra.sweeper.params: nothing is searched; give a range, as in {example}")
    return fixed, space


def distribution(override: Override) -> BaseDistribution:
    """Return the values of a sweep in the notation of hydra-optuna-sweeper.

    An interval is continuous, or of integers if both ends are, and logarithmic with `tag(log, interval(...))`.
    """
    value: Any = override.value()  # its ends are numbers, which the parser checks
    if isinstance(value, IntervalSweep):
        is_whole = isinstance(value.start, int) and isinstance(value.end, int)
        if "log" in value.tags:
            kind: Any = distributions.IntLogUniformDistribution if is_whole else distributions.LogUniformDistribution
        else:
            kind = distributions.IntUniformDistribution if is_whole else distributions.UniformDistribution
        return kind(value.start, value.end)
    if isinstance(value, RangeSweep) and not value.shuffle:
        steps: Any = (value.start, value.stop, value.step)
        if any(isinstance(number, float) for number in steps):
            return distributions.DiscreteUniformDistribution(*steps)
        return distributions.IntUniformDistribution(*steps)
    choices: Any = override.sweep_iterator(transformer=Transformer.encode)  # numbers and texts
    return CategoricalDistribution(tuple(choices))


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
    """Run trials until the study has `n_trials`, including those of earlier commands and other processes; return it."""
    if not storage or callable(sampler):  # Hydra does not instantiate the sampler of a grid
        if not storage:
            raise UserError("hydra.sweeper.storage: not given; give a database, such as sqlite:///study.db")
        raise UserError(
            "hydra/sweeper/sampler: grid is not supported; leave out hparams_search, and give -m and lists of values"
        )
    opened = functools.partial(open_study, study_name, storage, sampler, pruner)
    fixed, space = split(params, arguments)
    directory = Path(config.hydra.sweep.dir)
    study, owner = opened(), f"{uuid.uuid4().hex[:12]}.lock"
    batches: list[list[int]] = []

    def next_batch() -> list[Trial]:
        """Return the next trials, an empty list if the study is complete.

        The lock prevents two sweeps from both asking for the last trial.
        """
        for wait in (False, True):  # at the end, wait for jobs of dead sweeps that still run
            take_over(study, directory, wait)
            with locked(directory / "asking"):
                if not batches:
                    _require_same_choices(study, space)
                    _describe(study, directory, fixed, n_trials, config.monitor)
                missing = n_trials - sum(map(counts, study.get_trials(deepcopy=False)))
                trials = [_ask(study, space, owner) for _ in range(min(n_jobs, missing))]
            if trials:
                return trials
        return []

    with _explain_lost_storage(study_name), alive(directory / owner):
        try:
            batch = next_batch()
            while batch:
                batches.append([trial.number for trial in batch])
                jobs = _run(launch, [_overrides(fixed, trial) for trial in batch], batch, directory)
                study = opened()  # opened again, to read what the jobs have written
                for number, job in zip(batches[-1], jobs, strict=True):
                    tell(study, number, job)
                with locked(directory / "asking"):
                    write_best(directory, study, config.hydra.runtime.choices)
                refuse_hopeless(study, batches, max_failure_rate)
                batch = next_batch()
        except (KeyboardInterrupt, SystemExit) as error:
            trials = study.get_trials(deepcopy=False)
            for number in itertools.chain(*batches):
                if trials[number].state == TrialState.RUNNING:
                    fail(study, trials[number], KILLED)
            done = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
            advice = f"study {study_name} has {done} of {n_trials} trials, and the same command continues it"
            status = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 0
            raise Interrupted(f"interrupted; {advice}", status - 128 if status > 128 else signal.SIGINT) from error
    (directory / owner).unlink(missing_ok=True)  # after an exception it stays, to mark its trials as orphans
    if not batches:
        log.info("study %s already has its %d trials; a larger hydra.sweeper.n_trials adds more", study_name, n_trials)
    return study


@contextmanager
def _explain_lost_storage(study_name: str) -> Iterator[None]:
    """Raise UserError if the database cannot be reached and does not return."""
    try:
        yield
    except STORAGE_ERRORS as error:
        cause = first_line(error.__cause__ or error)
        advice = f"once the database is back, the same command continues study {study_name}"
        raise UserError(f"hydra.sweeper.storage: {cause}; {advice}") from error


def _describe(study: Study, directory: Path, fixed: Mapping[str, str], n_trials: int, monitor: str) -> None:
    """Record in the study what all trials share; raise UserError if its earlier trials share something else."""
    relevant = {key: word for key, word in fixed.items() if not _says_where(key)}
    before = {key: word for key, word in study.user_attrs.get(FIXED, relevant).items() if not _says_where(key)}
    start = "give another hydra.sweeper.study_name"
    if before != relevant and study.get_trials(deepcopy=False, states=_SHARING):
        there = ", ".join(word for key, word in before.items() if relevant.get(key) != word) or "no such override"
        here = ", ".join(word for key, word in relevant.items() if before.get(key) != word) or "none"
        raise UserError(f"study {study.study_name}: its trials have {there}, this command has {here}; {start}")
    if (directory / "0").exists() and not study.get_trials(deepcopy=False):
        raise UserError(f"{directory}: holds the trials of another study; move it elsewhere, or {start}")
    command = shlex.join(["python", *sys.argv])
    for key, value in ((FIXED, relevant), (COMMAND, command), (MONITOR, monitor), (WANTED, n_trials)):
        study.set_user_attr(key, value)


def _says_where(key: str) -> bool:
    plain = key.lstrip("+~").split("@")[0]
    return plain in _WHERE or plain.startswith(_WHERE_ALL)


def _ask(study: Study, space: dict[str, BaseDistribution], owner: str) -> Trial:
    trial = study.ask(space)
    trial.set_user_attr(OWNER, owner)
    return trial


def _require_same_choices(study: Study, space: Mapping[str, BaseDistribution]) -> None:
    """Raise UserError if a parameter had other choices, or was of another kind, in an earlier trial."""
    for trial in study.get_trials(deepcopy=False):
        for key in trial.distributions.keys() & space.keys():
            try:
                distributions.check_distribution_compatibility(trial.distributions[key], space[key])
            except ValueError as error:
                advice = "give another hydra.sweeper.study_name"
                raise UserError(f"{key}: study {study.study_name} has other choices; {advice}") from error


def _overrides(fixed: Mapping[str, str], trial: Trial) -> list[str]:
    chosen = [f"{key}={value}" for key, value in trial.params.items()]
    return [*fixed.values(), *chosen, f"hydra.sweep.subdir={trial.number}", f"hydra.sweeper.trial={trial.number}"]


def _run(launch: Launch, words: list[list[str]], batch: Sequence[Trial], directory: Path) -> Sequence[JobReturn]:
    """Run the trials' jobs and return their results, even if the process of a job has died."""
    try:
        return launch(words, initial_job_idx=batch[0].number)
    except worker_died() as error:
        log.warning("a trial's process was killed: %s", first_line(error))
        return [left_behind(directory / str(trial.number)) for trial in batch]
