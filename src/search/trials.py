"""End a sweep's trials according to the results of their jobs."""

import itertools
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from optuna.study import Study
from optuna.trial import TrialState

from src.run.lock import is_in_use
from src.run.record import read_record
from src.search.study import CAUSE, KILLED, OWNER, PRUNED, counts, fail, free_locks, orphans, unless_ended
from src.utils.errors import UserError, one_line
from src.utils.locks import remove_free
from src.utils.workers import worker_died

log = logging.getLogger(__name__)

_FEW = 3  # trials that must have ended before the rate of failures counts


def tell(study: Study, number: int, job: JobReturn) -> None:
    """End a trial according to the result of its job."""
    trial = study.get_trials(deepcopy=False)[number]
    result = job._return_value  # the public property raises the error of a failed job
    if job.status == JobStatus.UNKNOWN or isinstance(result, worker_died()):  # the latter after a time limit
        log.warning("trial %d was killed; another trial replaces it", number)
        fail(study, trial, KILLED)
    elif job.status == JobStatus.FAILED:
        known = isinstance(result, UserError)
        cause = str(result) if known else one_line(result)
        log.warning("trial %d failed: %s", number, cause, exc_info=None if known else result)
        fail(study, trial, cause)
    elif trial.user_attrs.get(PRUNED):
        with unless_ended(number):
            study.tell(number, state=TrialState.PRUNED)
    elif result is None or not math.isfinite(result):
        log.warning("trial %d failed: its metric is %s", number, result)
        fail(study, trial, f"its metric is {result}")
    else:
        with unless_ended(number):
            study.tell(number, result)
            best = study.best_trial
            log.info("trial %d: %.5g; best so far: %.5g, trial %d", number, result, best.value, best.number)


def refuse_hopeless(study: Study, batches: Sequence[Sequence[int]], max_failure_rate: float) -> None:
    """Raise UserError if so many trials of this command have failed that the config or the machine must be at fault.

    A process that dies may end all trials of its batch, so trials that were killed together count as one failure.
    """
    trials, failures = study.get_trials(deepcopy=False), []
    for batch in batches:
        ended = [trials[number].state == TrialState.FAIL for number in batch if counts(trials[number])]
        failures += ended + [True] * (len(ended) < len(batch))
    if len(failures) >= _FEW and sum(failures) > max_failure_rate * len(failures):
        tried = [trials[number] for number in itertools.chain(*batches)]
        causes = [trial.user_attrs[CAUSE] for trial in tried if trial.state == TrialState.FAIL]
        counted = f"{sum(failures)} of {len(failures)} trials failed"
        raise UserError(f"{counted}, so the search ends; the last one: {causes[-1]}")


def take_over(study: Study, directory: Path, wait: bool) -> None:
    """End the trials of dead sweeps according to the results of their jobs; with `wait`, wait for running jobs."""
    owners = set(free_locks(directory))  # listed first: a sweep that dies meanwhile is handled the next time
    for trial in orphans(study, directory):
        if wait or not is_in_use(directory / str(trial.number)):
            tell(study, trial.number, left_behind(directory / str(trial.number)))
        else:
            owners.discard(directory / trial.user_attrs.get(OWNER, ""))
    for path in owners:
        remove_free(path)


def left_behind(directory: Path) -> JobReturn:
    """Wait until no process trains in a run directory and return the result of its job, UNKNOWN if it was killed.

    A launcher that lost one job does not report the others: they still train, have ended, or have not started. A job
    that has not started counts as killed, and ends itself when it starts.
    """
    if is_in_use(directory):
        log.info("%s: a job still trains there; waiting for it", directory)
    while is_in_use(directory):
        time.sleep(1)
    session = next(reversed(read_record(directory)), {"outcome": "none"})
    if session["outcome"] == "finished":
        return JobReturn(status=JobStatus.COMPLETED, _return_value=session["score"])
    if session["outcome"].startswith("failed: "):
        return JobReturn(status=JobStatus.FAILED, _return_value=UserError(session["outcome"].removeprefix("failed: ")))
    return JobReturn(status=JobStatus.UNKNOWN)
