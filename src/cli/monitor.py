"""Check that a run will log the metrics that it monitors."""

import logging
import shlex
from collections.abc import Collection, Mapping

from omegaconf import DictConfig, OmegaConf

from src.utils.errors import UserError, did_you_mean

log = logging.getLogger(__name__)

# endings of metrics of which the highest value is the best
HIGHER = ("_acc", "_acc1", "_auroc", "_dice", "_f1", "_jaccard", "_precision", "_recall")


def require_metrics(config: DictConfig) -> None:
    """Raise UserError for a metric that cannot be monitored as given; once a model is built, see `require_known`."""
    if not isinstance(config.monitor, str):
        given = "null" if config.monitor is None else config.monitor
        raise UserError(f"monitor: {given} given; give a metric such as val/nmae")
    for key, metric in watched(config).items():
        mode = "min" if key == "monitor" else OmegaConf.select(config, key.removesuffix("monitor") + "mode")
        if mode != "max" and metric.endswith(HIGHER):
            raise UserError(
                f"{key}: {metric} given, but the lowest value is kept as the best; give an error, such as val/NAME_mae"
            )
    _require_validation(config)
    _require_ends_of_epochs(config)


def _require_validation(config: DictConfig) -> None:
    """Raise UserError if a validation metric is watched but validation is off; warn if no epoch is validated."""
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
            f"{' and '.join(owners)} use; give 1.0, or remove them with {dropped}"
        )
    every, epochs = trainer.get("check_val_every_n_epoch"), trainer.get("max_epochs")
    if isinstance(every, int) and isinstance(epochs, int) and 0 < epochs < every:
        log.warning(
            "trainer.check_val_every_n_epoch: %d is above trainer.max_epochs %d, so no epoch is validated and no best "
            "checkpoint is kept",
            *(every, epochs),
        )


def _require_ends_of_epochs(config: DictConfig) -> None:
    """Raise UserError if a metric of training, which is known at the end of an epoch, is watched within epochs."""
    interval = config.trainer.get("val_check_interval")
    if interval is None or (isinstance(interval, float) and interval == 1.0):  # the number 1 is every batch
        return
    for key, metric in watched(config).items():
        options = OmegaConf.select(config, key.removesuffix(".monitor"))
        at_end = isinstance(options, Mapping) and (
            options.get("check_on_train_epoch_end") or options.get("save_on_train_epoch_end")
        )
        if metric.startswith("train/") and key.startswith("callbacks.") and not at_end:
            raise UserError(
                f"{key}: {metric} is known only at the end of an epoch, but with trainer.val_check_interval={interval} "
                "it is needed within epochs; give a metric of validation, such as val/loss"
            )


def watched(config: DictConfig) -> dict[str, str]:
    """Return the keys of a config that name a metric, with the metrics' names."""
    given = (config.get("callbacks") or {}).items()
    named = {
        f"callbacks.{role}.monitor": options.get("monitor") for role, options in given if isinstance(options, Mapping)
    }
    named["model.scheduler.monitor"] = OmegaConf.select(config, "model.scheduler.monitor")
    return {key: str(metric) for key, metric in ({"monitor": config.monitor} | named).items() if metric is not None}


def require_known(metrics: Mapping[str, str], known: Collection[str]) -> None:
    """Raise UserError for the first unknown metric; `metrics` maps config keys to metric names."""
    for key, metric in metrics.items():
        if metric not in known:
            raise UserError(f"{key}: no metric '{metric}'.{did_you_mean(metric, known)}")
