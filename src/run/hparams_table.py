"""TensorBoard's table of runs: one row per run, with its settings and its final metrics."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig

from src.utils.plain import flatten, to_plain

_TRAINER = ("max_epochs", "precision", "devices", "accumulate_grad_batches", "gradient_clip_val")
_DATA = ("batch_size", "labels", "val_fraction")
_LEFT_OUT = ("compile", "channels_last")  # they do not change the results


@rank_zero_only
def log_results(
    loggers: list[Logger],
    config: DictConfig,
    identity: Mapping[str, Any],
    score: float | None,
    metrics: Mapping[str, float],
) -> None:
    """Add a run's row to the table of each TensorBoard logger: its best score and its test metrics."""
    # in the group of the metric: best/... would be a group of its own, the first one of the page
    results = {**({} if score is None else {f"{config.monitor}_best": score}), **metrics}
    settings = table_settings(to_plain(config), identity)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            # "." keeps it in the run's directory, so that the table has the same name for the run as the curves
            logger.experiment.add_hparams(settings, results, run_name=".")


def table_settings(config: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return the settings of a resolved config that the table shows, flat: `network.channels`, `optimizer.lr`."""
    chosen = {key: value for key, value in config["model"].items() if not key.startswith("_") and key not in _LEFT_OUT}
    chosen |= {key: config["trainer"].get(key) for key in _TRAINER} | {key: config["data"].get(key) for key in _DATA}
    chosen |= {key: config.get(key) for key in ("name", "seed", "monitor")}
    chosen |= {"tags": config["tags"]} if config.get("tags") else {}
    chosen |= {key: value for key, value in identity.items() if "sha256" not in key}
    return dict(flatten(chosen, ""))
