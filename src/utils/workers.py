"""Processes that this one starts: how many a machine can hold, and how the death of one is recognised."""

import os
import sys

from src.utils.errors import UserError

MOST_PROCESSES = 16 * (os.cpu_count() or 1)  # of one kind; more fill the memory, as each needs hundreds of MB

_DEATHS = {  # joblib raises the standard library's error
    "concurrent.futures": "BrokenExecutor",
    "ray.exceptions": "RayError",
    "submitit.core.utils": "UncompletedJobError",
}


def worker_died() -> tuple[type[Exception], ...]:
    """Return the exceptions that the imported launchers raise when a job's process has died."""
    return tuple(getattr(sys.modules[module], name) for module, name in _DEATHS.items() if module in sys.modules)


def raise_if_lost(error: RuntimeError, advice: str) -> None:
    """Raise UserError, one line that ends with `advice`, if an error reports that another process of this run has died.

    gloo and NCCL report another rank, torch's DataLoader reports a process that loads data.
    """
    text = str(error)
    if text.startswith("DataLoader worker"):
        raise UserError(
            f"data.num_workers: a process that loads data was killed; if memory is short, use fewer, then {advice}"
        ) from error
    if "gloo" in text or "NCCL" in text or type(error).__name__.startswith("Dist"):  # torch.distributed's errors
        raise UserError(
            f"another process of this run has ended unexpectedly or can no longer be reached; {advice}"
        ) from error
