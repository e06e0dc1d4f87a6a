"""What becomes of a sweep's trials, by what their jobs came to."""

import itertools
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from optuna.study import Study
from optuna.trial import TrialState

from src.utils.errors import UserError, one_line
from src.utils.locks import remove_free
from src.utils.run_lock import is_in_use
from src.utils.run_record import read_record
from src.utils.sweep_study import CAUSE, KILLED, OWNER, PRUNED, counts, fail, free_locks, orphans, unless_ended
from src.utils.workers import worker_died

log = logging.getLogger(__name__)

_FEW = 3  # trials before their failures are judged


def tell(study: Study, number: int, job: JobReturn) -> None:
    """End a trial by what its job came to."""
    trial = study.get_trials(deepcopy=False)[number]
    result = job._return_value  # the public name would raise the error of a failed job
    if job.status == JobStatus.UNKNOWN or isinstance(result, worker_died()):  # the latter within it: a time limit
        log.warning("trial %d was killed: it is left out, and another will take its place", number)
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
            log.info("trial %d: %.5g; the best is %.5g, of trial %d", number, result, *_best(study))


def _best(study: Study) -> tuple[float, int]:
    return study.best_value, study.best_trial.number


def refuse_hopeless(study: Study, batches: Sequence[Sequence[int]], max_failure_rate: float) -> None:
    """UserError when so many of this start's trials have failed that the fault is not theirs.

    One process that dies may take all of its batch along: what was killed together counts as one failure.
    """
    trials, failures = study.get_trials(deepcopy=False), []
    for batch in batches:
        ended = [trials[number].state == TrialState.FAIL for number in batch if counts(trials[number])]
        failures += ended + [True] * (len(ended) < len(batch))
    if len(failures) >= _FEW and sum(failures) > max_failure_rate * len(failures):
        failed = [one for one in map(trials.__getitem__, itertools.chain(*batches)) if one.state == TrialState.FAIL]
        told = f"{sum(failures)} of {len(failures)} trials failed, so the search ends"
        raise UserError(f"{told}; the last one: {failed[-1].user_attrs[CAUSE]}")


def take_over(study: Study, directory: Path, wait: bool) -> None:
    """End the trials of dead sweeps, by what their jobs came to; `wait` for those that still train."""
    owners = set(free_locks(directory))  # before trials are looked up: one that dies from now on is for the next time
    for one in orphans(study, directory):
        if wait or not is_in_use(directory / str(one.number)):
            tell(study, one.number, left_behind(directory / str(one.number)))
        else:
            owners.discard(directory / one.user_attrs.get(OWNER, ""))
    for path in owners:
        remove_free(path)


def left_behind(directory: Path) -> JobReturn:
    """Return what the job of a run directory came to, once nobody trains there: UNKNOWN where it was killed.

    A launcher that lost one job says nothing of the others: those go on, have ended, or have not begun, which looks
    like killed: they end by themselves once they begin.
    """
    if is_in_use(directory):
        log.info("%s: still trains; waiting for it", directory)
    while is_in_use(directory):
        time.sleep(1)
    session = next(reversed(read_record(directory)), {"outcome": "none"})
    if session["outcome"] == "finished":
        return JobReturn(status=JobStatus.COMPLETED, _return_value=session["score"])
    if session["outcome"].startswith("failed: "):
        return JobReturn(status=JobStatus.FAILED, _return_value=UserError(session["outcome"].removeprefix("failed: ")))
    return JobReturn(status=JobStatus.UNKNOWN)
