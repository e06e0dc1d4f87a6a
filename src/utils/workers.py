"""How a process learns that another one, on which it depends, is gone."""

import sys

from src.utils.errors import UserError

_DEATHS = {  # joblib's is one of the standard library's
    "concurrent.futures": "BrokenExecutor",
    "ray.exceptions": "RayError",
    "submitit.core.utils": "UncompletedJobError",
}


def worker_died() -> tuple[type[Exception], ...]:
    """Return what the launchers that are in use raise when a job's process has died: for an `except`."""
    return tuple(getattr(sys.modules[module], name) for module, name in _DEATHS.items() if module in sys.modules)


def raise_if_lost(error: RuntimeError, advice: str) -> None:
    """UserError, one line that ends with `advice`, where an error says that another process of this run has died.

    gloo and NCCL say so of another rank, torch's DataLoader of a process that loads data.
    """
    text = str(error)
    if text.startswith("DataLoader worker"):
        raise UserError(
            f"data.num_workers: a process that loads data has died; if memory is short, give fewer, then {advice}"
        ) from error
    if "gloo" in text or "NCCL" in text or type(error).__name__.startswith("Dist"):  # torch.distributed's own
        raise UserError(f"another process of this run has died, or cannot be reached any more; {advice}") from error
