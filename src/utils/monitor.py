"""Whether a run will have the metrics that it selects on and watches, told before the dataset is made."""

import logging
import shlex
from collections.abc import Collection, Mapping

from omegaconf import DictConfig, OmegaConf

from src.utils.errors import UserError, did_you_mean

log = logging.getLogger(__name__)

_KINDS = ("mae", "rmse", "acc", "acc1", "loss")  # of each head, as src.models.head_metrics logs them


def require_metrics(config: DictConfig) -> None:
    """UserError for a metric that no run of this recipe logs; those of a dataset of yours are checked later."""
    if config.monitor is None:
        raise UserError("monitor: null given; give a metric such as val/nmae")
    for key, metric in watched(config).items():
        mode = "min" if key == "monitor" else OmegaConf.select(config, key.removesuffix("monitor") + "mode")
        if mode != "max" and metric.endswith(("_acc", "_acc1")):
            raise UserError(f"{key}: {metric} given, of which the lowest would be kept; give an error, such as _mae")
    _require_validation(config)
    if config.data.get("data_dir") or not config.data.get("recipe"):
        return
    heads = config.data.recipe.synth.parameters
    known = ["train/loss", "val/loss", "val/nmae", *(f"val/{name}_{kind}" for name in heads for kind in _KINDS)]
    # a loss's terms are known when the model is
    require_known({key: one for key, one in watched(config).items() if not one.startswith("train/loss/")}, known)


def _require_validation(config: DictConfig) -> None:
    """UserError where something watches the validation and nothing is validated; a warning where no epoch will be."""
    trainer = config.trainer
    watchers = {key: metric for key, metric in watched(config).items() if metric.startswith("val/")}
    watchers.pop("monitor", None)
    if trainer.get("fast_dev_run") or not watchers:
        return
    if trainer.get("limit_val_batches") == 0:
        owners = [key.removesuffix(".monitor") for key in watchers]
        dropped = " ".join(shlex.quote(f"~{owner}") for owner in owners)
        raise UserError(
            f"trainer.limit_val_batches: 0 given, so there is no {', '.join(sorted(set(watchers.values())))}, which "
            f"{' and '.join(owners)} watch; validate, or leave them out with {dropped}"
        )
    every, epochs = trainer.get("check_val_every_n_epoch"), trainer.get("max_epochs")
    if isinstance(every, int) and isinstance(epochs, int) and 0 < epochs < every:
        log.warning(
            "trainer.check_val_every_n_epoch: %d given and trainer.max_epochs %d, so no epoch is validated and no best "
            "checkpoint is kept",
            *(every, epochs),
        )


def watched(config: DictConfig) -> dict[str, str]:
    """Return the keys of a config that name a metric, with those names."""
    callbacks = {role: one for role, one in (config.get("callbacks") or {}).items() if isinstance(one, Mapping)}
    named = {f"callbacks.{role}.monitor": one.get("monitor") for role, one in callbacks.items()}
    named["model.scheduler.monitor"] = OmegaConf.select(config, "model.scheduler.monitor")
    return {key: str(metric) for key, metric in ({"monitor": config.monitor} | named).items() if metric is not None}


def require_known(metrics: Mapping[str, str], known: Collection[str]) -> None:
    """UserError for the first metric that is not known; `metrics` maps the keys that name them to the names."""
    for key, metric in metrics.items():
        if metric not in known:
            raise UserError(f"{key}: no metric '{metric}'.{did_you_mean(metric, known)}")
