"""Whether the metric that a run selects on can exist, told before the dataset is made and torch imported."""

from omegaconf import DictConfig

from src.utils.errors import UserError, did_you_mean

_KINDS = ("mae", "rmse", "acc", "acc1", "loss")  # of each head, as src.models.head_metrics logs them


def require_metric(config: DictConfig) -> None:
    """UserError for a monitor that no run of this recipe logs; one on a dataset of yours is looked at later."""
    if config.monitor is None:
        raise UserError("monitor: null given; a metric such as val/nmae")
    if config.data.get("data_dir") or not config.data.get("recipe") or config.monitor.startswith("train/loss/"):
        return
    heads = config.data.recipe.synth.parameters
    known = ["train/loss", "val/loss", "val/nmae", *(f"val/{name}_{kind}" for name in heads for kind in _KINDS)]
    if config.monitor not in known:
        raise UserError(f"monitor: no metric '{config.monitor}'.{did_you_mean(config.monitor, known)}")
