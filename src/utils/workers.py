"""Jobs whose process is gone: how launchers say so, and what such a job has left in its run directory."""

import logging
import sys
import time
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from src.utils.errors import UserError
from src.utils.run_lock import is_in_use
from src.utils.run_record import read_record

log = logging.getLogger(__name__)

_DEATHS = {  # joblib's is one of the standard library's
    "concurrent.futures": "BrokenExecutor",
    "ray.exceptions": "RayError",
    "submitit.core.utils": "UncompletedJobError",
}


def worker_died() -> tuple[type[Exception], ...]:
    """Return what the launchers that are in use raise when a job's process has died: for an `except`."""
    return tuple(getattr(sys.modules[module], name) for module, name in _DEATHS.items() if module in sys.modules)


def first_line(error: Exception) -> str:
    """Return the first line of an error that tells much more, such as a launcher's or a database's."""
    return str(error).strip().partition("\n")[0].strip() or type(error).__name__


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
