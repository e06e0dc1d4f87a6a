"""How launchers say that a job's process is gone."""

import sys

_DEATHS = {  # joblib's is one of the standard library's
    "concurrent.futures": "BrokenExecutor",
    "ray.exceptions": "RayError",
    "submitit.core.utils": "UncompletedJobError",
}


def worker_died() -> tuple[type[Exception], ...]:
    """Return what the launchers that are in use raise when a job's process has died: for an `except`."""
    return tuple(getattr(sys.modules[module], name) for module, name in _DEATHS.items() if module in sys.modules)
