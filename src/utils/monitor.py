"""Whether the metrics that a run selects on and watches can exist, told before the dataset is made."""

from collections.abc import Collection, Mapping

from omegaconf import DictConfig, OmegaConf

from src.utils.errors import UserError, did_you_mean

_KINDS = ("mae", "rmse", "acc", "acc1", "loss")  # of each head, as src.models.head_metrics logs them


def require_metrics(config: DictConfig) -> None:
    """UserError for a metric that no run of this recipe logs; one on a dataset of yours is looked at later."""
    if config.monitor is None:
        raise UserError("monitor: null given; a metric such as val/nmae")
    for key, metric in watched(config).items():
        mode = "min" if key == "monitor" else OmegaConf.select(config, key.removesuffix("monitor") + "mode")
        if mode != "max" and metric.endswith(("_acc", "_acc1")):
            raise UserError(
                f"{key}: {metric} given, of which the least would be kept; give a metric of errors, as _mae"
            )
    if config.data.get("data_dir") or not config.data.get("recipe"):
        return
    heads = config.data.recipe.synth.parameters
    known = ["train/loss", "val/loss", "val/nmae", *(f"val/{name}_{kind}" for name in heads for kind in _KINDS)]
    # a loss's terms are known when the model is
    require_known({key: one for key, one in watched(config).items() if not one.startswith("train/loss/")}, known)


def watched(config: DictConfig) -> dict[str, str]:
    """Return the keys that name a metric, and the metrics."""
    callbacks = {role: one for role, one in (config.get("callbacks") or {}).items() if isinstance(one, Mapping)}
    named = {f"callbacks.{role}.monitor": one.get("monitor") for role, one in callbacks.items()}
    named["model.scheduler.monitor"] = OmegaConf.select(config, "model.scheduler.monitor")
    return {key: str(metric) for key, metric in ({"monitor": config.monitor} | named).items() if metric is not None}


def require_known(metrics: Mapping[str, str], known: Collection[str]) -> None:
    """UserError for the first of some metrics, by their keys, that is not known."""
    for key, metric in metrics.items():
        if metric not in known:
            raise UserError(f"{key}: no metric '{metric}'.{did_you_mean(metric, known)}")
