"""What Hydra says of the job that this process runs."""

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode


def in_sweep() -> bool:
    """Tell whether this is one of several jobs of a command, as with -m."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def in_trial() -> bool:
    """Tell whether this is a trial of a search, see hydra_plugins."""
    return HydraConfig.initialized() and HydraConfig.get().sweeper.get("trial") is not None
