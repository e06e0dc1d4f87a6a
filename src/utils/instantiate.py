"""Lightning's objects from their configs, before any of them runs."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax

from src.utils.errors import UserError

log = logging.getLogger(__name__)

_PRECISIONS = ("32-true", "32", "bf16-mixed", "16-mixed")


def quiet_lightning() -> None:
    """Drop Lightning's messages that tell the user nothing."""
    # batches are single gathers here: the advice to add workers would slow loading down
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*`LeafSpec.*|.*treespec.*", category=FutureWarning)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def apply_extras(config: DictConfig) -> None:
    """Seed everything, set threads, and show the config where that is asked for."""
    quiet_lightning()
    if "seed" in config:
        seed_everything(config.seed, workers=True, verbose=False)
    if config.extras.num_threads:
        torch.set_num_threads(config.extras.num_threads)
    if config.extras.print_config:
        Console().print(Syntax(OmegaConf.to_yaml(config, resolve=True), "yaml"))


def build(config: DictConfig | None, where: str) -> Any:
    """Instantiate one object; UserError names the config group and the cause."""
    try:
        return instantiate(config)
    except InstantiationException as error:
        group, _, name = where.partition(".")
        if group == "logger" and any(isinstance(one, ImportError) for one in _causes(error)):
            package = {"comet": "comet_ml"}.get(name, name)
            raise UserError(f"{where}: {package} is not installed; uv pip install {package}") from error
        cause = error.__cause__ if isinstance(error.__cause__, UserError) else error
        raise UserError(f"{where}: {' '.join(str(cause).split())}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def build_all(configs: DictConfig | None, where: str) -> list[Any]:
    """Instantiate a group keyed by role, such as callbacks or loggers."""
    return [build(one, f"{where}.{name}") for name, one in (configs or {}).items() if one and "_target_" in one]


def build_trainer(config: DictConfig) -> Trainer:
    """Instantiate callbacks, loggers and the trainer; UserError when the accelerator is not there."""
    loggers = build_all(config.get("logger"), "logger")
    callbacks = build_all(config.get("callbacks"), "callbacks")
    accelerator, precision = config.trainer.accelerator, str(config.trainer.get("precision", "32-true"))
    if precision not in _PRECISIONS:
        raise UserError(f"trainer.precision: {precision} given; one of {', '.join(_PRECISIONS)}: weights stay float32")
    keeps = any(isinstance(callback, Checkpoint) for callback in callbacks)  # else Lightning adds one of its own
    try:
        return instantiate(config.trainer, callbacks=callbacks, logger=loggers or False, enable_checkpointing=keeps)
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException) and accelerator in ("gpu", "cuda", "mps"):
            raise UserError(f"trainer: this machine has no {accelerator}; use trainer=cpu or trainer=auto") from error
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error


def log_hyperparameters(loggers: list[Logger], config: DictConfig, more: Mapping[str, Any]) -> None:
    """Record the whole config and what else identifies a run with every logger."""
    groups = ("model", "data", "trainer", "callbacks", "monitor", "seed")
    plain = OmegaConf.to_container(config, resolve=True)
    for logger in loggers:
        logger.log_hyperparams({key: plain.get(key) for key in groups} | dict(more))
