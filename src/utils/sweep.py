"""Searching: trials of a study, each trained by one job of a launcher."""

import functools
import logging
import math
import shlex
import signal
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import Trial, TrialState

from src.utils.errors import Interrupted, UserError, one_line
from src.utils.locks import alive, locked
from src.utils.sweep_best import COMMAND, FIXED, MONITOR, write_best
from src.utils.sweep_study import (
    CAUSE,
    KILLED,
    OWNER,
    PRUNED,
    STORAGE_ERRORS,
    counts,
    fail,
    open_study,
    orphans,
    remove_free_locks,
)
from src.utils.workers import first_line, left_behind, worker_died

log = logging.getLogger(__name__)

WANTED = "n_trials"  # an attribute of the study: how many it was last to have
_IRRELEVANT = ("hparams_search", "logger", "trainer", "paths.data_dir", "paths.log_dir")  # where a trial runs, not what
_FEW = 3  # trials before their failures are judged

Launch = Callable[..., Sequence[JobReturn]]


def split(params: Mapping[str, Any], arguments: list[str]) -> tuple[dict[str, str], dict[str, BaseDistribution]]:
    """Return a sweep's overrides by key: the fixed ones, and what is searched; the command line's come last."""
    words = [f"{key}={value}" for key, value in params.items()] + arguments
    fixed, space = {}, {}
    for override in OverridesParser.create().parse_overrides(words):
        key = override.get_key_element()
        fixed.pop(key, None), space.pop(key, None)
        if override.is_sweep_override():
            space[key] = create_optuna_distribution_from_override(override)
        else:
            fixed[key] = override.input_line
    if not space:
        raise UserError("hydra.sweeper.params: nothing is searched; give a range, as model.adam_lr=interval(0.001,0.1)")
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
    study = opened()
    _describe(study, fixed, n_trials, config.monitor)
    owner, mine = f"{uuid.uuid4().hex[:12]}.lock", []
    with alive(directory / owner):
        try:
            for one in orphans(study, directory):
                _tell(study, one.number, left_behind(directory / str(one.number)))
            remove_free_locks(directory)
            while batch := _ask_some(study, space, owner, n_trials, n_jobs, directory):
                mine += [one.number for one in batch]
                jobs = _run(launch, [_overrides(fixed, one) for one in batch], batch, directory)
                study = opened()  # the one that asked for the trials never looks at what their jobs have written
                for one, job in zip(batch, jobs, strict=True):
                    _tell(study, one.number, job)
                with locked(directory / "asking"):
                    write_best(directory, study, config.hydra.runtime.choices)
                _refuse_hopeless(study, mine, max_failure_rate)
        except (KeyboardInterrupt, SystemExit) as error:
            trials = study.get_trials(deepcopy=False)
            for number in mine:
                if trials[number].state == TrialState.RUNNING:
                    fail(study, trials[number], KILLED)
            done = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
            advice = f"study {study_name} has {done} of {n_trials} trials, and the same command goes on with it"
            raise Interrupted(f"interrupted; {advice}", signal.SIGINT) from error
        except STORAGE_ERRORS as error:
            cause = first_line(error.__cause__ or error)
            advice = f"once the database is there, the same command goes on with study {study_name}"
            raise UserError(f"hydra.sweeper.storage: {cause}; {advice}") from error
    (directory / owner).unlink()  # else it stays for the next start, by which the trials of this one are found
    if not mine:
        log.info("study %s has its %d trials; hydra.sweeper.n_trials=... adds some", study_name, n_trials)
    return study


def _describe(study: Study, fixed: Mapping[str, str], n_trials: int, monitor: str) -> None:
    """Write down what all trials share; UserError when those that have finished share something else."""
    relevant = {key: word for key, word in fixed.items() if key.lstrip("+~").split("@")[0] not in _IRRELEVANT}
    before = study.user_attrs.get(FIXED, relevant)
    if before != relevant and study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        there = ", ".join(word for key, word in before.items() if relevant.get(key) != word) or "less"
        asked = ", ".join(word for key, word in relevant.items() if before.get(key) != word) or "less"
        start = "hydra.sweeper.study_name=... starts another"
        raise UserError(f"study {study.study_name}: its trials have {there}, where {asked} is asked for; {start}")
    command = shlex.join(["python", *sys.argv])
    for key, value in ((FIXED, relevant), (COMMAND, command), (MONITOR, monitor), (WANTED, n_trials)):
        study.set_user_attr(key, value)


def _ask_some(
    study: Study, space: Mapping[str, BaseDistribution], owner: str, n_trials: int, n_jobs: int, directory: Path
) -> list[Trial]:
    """Return the next trials, none where the study has all: two sweeps at once would both ask for the last one."""
    with locked(directory / "asking"):
        missing = n_trials - sum(map(counts, study.get_trials(deepcopy=False)))
        return [_ask(study, space, owner) for _ in range(min(n_jobs, missing))]


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
    chosen = [f"{key}={'null' if value is None else value}" for key, value in trial.params.items()]
    return [*fixed.values(), *chosen, f"hydra.sweep.subdir={trial.number}", f"hydra.sweeper.trial={trial.number}"]


def _run(launch: Launch, words: list[list[str]], batch: Sequence[Trial], directory: Path) -> Sequence[JobReturn]:
    """Return what the trials' jobs came to, also where the process of one of them has died."""
    try:
        return launch(words, initial_job_idx=batch[0].number)
    except worker_died() as error:
        log.warning("a trial's process has died: %s", first_line(error))
        return [left_behind(directory / str(one.number)) for one in batch]


def _tell(study: Study, number: int, job: JobReturn) -> None:
    trial = study.get_trials(deepcopy=False)[number]
    result = job._return_value  # the public name would raise the error of a failed job
    if job.status == JobStatus.UNKNOWN:
        log.warning("trial %d was killed: it is left out, and another will take its place", number)
        fail(study, trial, KILLED)
    elif job.status == JobStatus.FAILED:
        known = isinstance(result, UserError)
        cause = str(result) if known else one_line(result)
        log.warning("trial %d failed: %s", number, cause, exc_info=None if known else result)
        fail(study, trial, cause)
    elif trial.user_attrs.get(PRUNED):
        study.tell(number, state=TrialState.PRUNED)
    elif result is None or not math.isfinite(result):
        log.warning("trial %d failed: its metric is %s", number, result)
        fail(study, trial, f"its metric is {result}")
    else:
        study.tell(number, result)
        log.info("trial %d: %.5g; the best is %.5g, of trial %d", number, result, *_best(study))


def _best(study: Study) -> tuple[float, int]:
    return study.best_value, study.best_trial.number


def _refuse_hopeless(study: Study, mine: Sequence[int], max_failure_rate: float) -> None:
    """UserError when so many of this start's trials have failed that the fault is not theirs."""
    trials = study.get_trials(deepcopy=False)
    failed = [trials[number] for number in mine if trials[number].state == TrialState.FAIL]
    if len(mine) >= _FEW and len(failed) > max_failure_rate * len(mine):
        cause = failed[-1].user_attrs[CAUSE]
        raise UserError(f"{len(failed)} of {len(mine)} trials failed, so the search ends; the last one: {cause}")
