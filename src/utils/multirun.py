"""Hydra's settings of the job that this process runs."""

import warnings

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

# launchers' processes import this module with the job; our launchers' configs keep the plugins' keys
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated")

_ONE_AT_A_TIME = "BasicLauncher"  # Hydra's own: each job has the terminal to itself


def in_sweep() -> bool:
    """Return whether this job is one of several of a command with -m."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def in_trial() -> bool:
    """Return whether this job is a trial of a search, see hydra_plugins."""
    return HydraConfig.initialized() and HydraConfig.get().sweeper.get("trial") is not None


def in_parallel() -> bool:
    """Return whether other jobs of this command may run at the same time."""
    return in_sweep() and not str(HydraConfig.get().launcher.get("_target_")).endswith(_ONE_AT_A_TIME)


def job_label() -> str:
    """Return the prefix of this job's log lines, such as `trial 3: `; empty for a single run."""
    if in_trial():
        return f"trial {HydraConfig.get().sweeper.trial}: "
    return f"run {HydraConfig.get().job.num}: " if in_sweep() else ""
