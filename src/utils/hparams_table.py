"""TensorBoard's table of runs: a row of plain settings with the final figures, to be sorted by any of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

_TRAINER = ("max_epochs", "precision", "devices", "accumulate_grad_batches", "gradient_clip_val")
_DATA = ("batch_size", "labels", "val_fraction")
_LEFT_OUT = ("compile", "channels_last")  # they change no figure


@rank_zero_only
def log_results(
    loggers: list[Logger],
    config: DictConfig,
    identity: Mapping[str, Any],
    score: float | None,
    metrics: Mapping[str, float],
) -> None:
    """Add a run's row to the table of each TensorBoard logger: its best score and the test."""
    results = {**({} if score is None else {f"best/{config.monitor}": score}), **metrics}
    settings = table_settings(OmegaConf.to_container(config, resolve=True), identity)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            # a file of its own in the run's directory, so that the table names the run as the curves do
            logger.experiment.add_hparams(settings, results, run_name=".")


def table_settings(config: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return what a row of the table says of a resolved config, flat: `network.channels`, `optimizer.lr`."""
    chosen = {key: value for key, value in config["model"].items() if not key.startswith("_") and key not in _LEFT_OUT}
    chosen |= {key: config["trainer"].get(key) for key in _TRAINER} | {key: config["data"].get(key) for key in _DATA}
    chosen |= {key: config.get(key) for key in ("seed", "monitor")}
    chosen |= {key: value for key, value in identity.items() if "sha256" not in key}
    return dict(_flat(chosen, ""))


def _flat(value: Any, key: str) -> Iterator[tuple[str, str | int | float | bool]]:
    """Yield plain values; a class by its own name under the key of its config, a list as text, nothing for null."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if name == "_target_":
                yield key, str(one).rpartition(".")[2]
            elif not name.startswith("_"):
                yield from _flat(one, f"{key}.{name}".lstrip("."))
    elif value is not None:
        yield key, value if isinstance(value, str | int | float | bool) else str(value)
