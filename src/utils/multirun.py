"""What Hydra says of the job that this process runs."""

import warnings

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

# in the processes of launchers as well, which import this with the job: our launchers keep the plugins' own keys
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated")

_DEFAULT_HEADS = "regression"  # of configs/train.yaml: not a part of a model's name
_ONE_AT_A_TIME = "BasicLauncher"  # Hydra's own: each job has the terminal to itself


def in_sweep() -> bool:
    """Tell whether this is one of several jobs of a command, as with -m."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def in_trial() -> bool:
    """Tell whether this is a trial of a search, see hydra_plugins."""
    return HydraConfig.initialized() and HydraConfig.get().sweeper.get("trial") is not None


def in_parallel() -> bool:
    """Tell whether other jobs of this command may run at the same time."""
    return in_sweep() and not str(HydraConfig.get().launcher.get("_target_")).endswith(_ONE_AT_A_TIME)


def job_label() -> str:
    """Return what this job's lines begin with, as in `trial 3: `; nothing for a run of its own."""
    if in_trial():
        return f"trial {HydraConfig.get().sweeper.trial}: "
    return f"run {HydraConfig.get().job.num}: " if in_sweep() else ""


def model_choice() -> str | None:
    """Return the chosen model and heads, as in `cnn_micro_ordinal`; None where the command does not choose."""
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    model, heads = choices.get("model"), choices.get("heads")
    return f"{model}_{heads}" if model and heads not in (None, _DEFAULT_HEADS) else model
