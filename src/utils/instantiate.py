"""Lightning's objects from their configs, before any of them runs."""

import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax

from src.callbacks.checkpoint_io import WholeCheckpoints
from src.utils.errors import NotHere, UserError, one_line
from src.utils.files import write_whole
from src.utils.multirun import in_sweep
from src.utils.ranks import explain_death, launched, rank
from src.utils.resume import how_to_go_on

log = logging.getLogger(__name__)

_PRECISIONS = ("32-true", "32", "bf16-mixed", "16-mixed")


def quiet_lightning() -> None:
    """Drop Lightning's messages that tell the user nothing, and all warnings of processes but the first."""
    if rank():
        warnings.simplefilter("ignore")
    # batches are single gathers here: the advice to add workers would slow loading down
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    # what is logged was summed over all processes, and every sample counted once
    warnings.filterwarnings("ignore", message=".*recommended to use `self.log.*sync_dist=True.*")
    # a resumed epoch goes on with its next batch, and a resumed run in its own directory
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    warnings.filterwarnings("ignore", message=".*[Dd]irectory .* exists and is not empty.*")
    # a callback that the resumed run leaves out was left out on purpose
    warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided.*")
    warnings.filterwarnings("ignore", message=".*`LeafSpec.*|.*treespec.*", category=FutureWarning)
    if logging.root.handlers:  # which say what comes by Lightning's own as well
        logging.getLogger("lightning").handlers.clear()
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").addFilter(explain_death)
    for name in ("pytorch.utilities.rank_zero", "fabric.utilities.distributed"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)


def apply_extras(config: DictConfig) -> None:
    """Seed everything, set threads, and show the config where that is asked for."""
    quiet_lightning()
    if "seed" in config:
        if type(config.seed) is not int or config.seed < 0:
            given = "null" if config.seed is None else config.seed
            raise UserError(f"seed: {given} given; a whole number, at least 0")
        seed_everything(config.seed, workers=True, verbose=False)
    if config.extras.num_threads:
        torch.set_num_threads(config.extras.num_threads)
    if config.get("deterministic"):
        log_what_repeats(config)
    if config.extras.print_config and not rank():
        Console().print(Syntax(OmegaConf.to_yaml(config, resolve=True), "yaml"))


def log_what_repeats(config: DictConfig) -> None:
    """Say what deterministic=true promises."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts: without it sums differ
    compiled = ", nor with a compiled model on another compiler" if config.model.get("compile") else ""
    log.info(
        "deterministic: the same bytes again on this machine with %d threads; not with other threads, processors "
        "or versions of torch%s",
        torch.get_num_threads(),
        compiled,
    )


def build(config: DictConfig, where: str) -> Any:
    """Instantiate one object; UserError names the config group and the cause."""
    if not OmegaConf.is_dict(config) or "_target_" not in config:
        raise UserError(f"{where}: has values and no _target_, so it is nothing; +{where.replace('.', '=')} adds one")
    try:
        return instantiate(config)
    except InstantiationException as error:
        cause = one_line(error.__cause__ or error)
        raise UserError(cause if cause.startswith(f"{where}.") else f"{where}: {cause}") from error


def build_all(configs: DictConfig | None, where: str) -> list[Any]:
    """Instantiate a group keyed by role, such as callbacks or loggers."""
    return [build(one, f"{where}.{name}") for name, one in (configs or {}).items() if one]


def build_trainer(config: DictConfig) -> Trainer:
    """Instantiate callbacks, loggers and the trainer; UserError when the accelerator is not there."""
    loggers = build_all(config.get("logger"), "logger")
    callbacks = build_all(config.get("callbacks"), "callbacks")
    if not config.trainer.get("enable_progress_bar", True):
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    accelerator, precision = config.trainer.accelerator, str(config.trainer.get("precision", "32-true"))
    if precision not in _PRECISIONS:
        raise UserError(f"trainer.precision: {precision} given; one of {', '.join(_PRECISIONS)}: weights stay float32")
    wrappers = (config.get("model") or {}).get("wrappers") or {}
    if precision == "16-mixed" and {"sam", "asam"} & set(wrappers):  # on a CPU too, where Lightning takes bf16 for it
        raise UserError(
            "model.wrappers: SAM and ASAM take two passes a step; trainer.precision=16-mixed scales the loss of one; "
            "use bf16-mixed or 32-true"
        )
    keeps = any(isinstance(callback, Checkpoint) for callback in callbacks)  # else Lightning adds one of its own
    try:
        given = {"callbacks": callbacks, "logger": loggers or False, "enable_checkpointing": keeps}
        given["enable_progress_bar"] = any(isinstance(callback, ProgressBar) for callback in callbacks)  # likewise
        given["plugins"] = [WholeCheckpoints(how_to_go_on(Path(config.paths.output_dir)))]
        if config.get("deterministic"):
            given["deterministic"] = True  # an error, where the trainer's own `warn` only names what does not repeat
        trainer = instantiate(config.trainer, **given, **launched(), _convert_="all")  # max_time may be a dict
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException) and not _has(accelerator):
            raise NotHere(f"trainer: this machine has no {accelerator}; use trainer=cpu or trainer=auto") from error
        raise UserError(f"trainer: {one_line(error.__cause__ or error)}") from error
    # with max_steps Lightning takes every resumed run to be within an epoch: it would begin no batch of a new one
    trainer.fit_loop._iteration_based_training = lambda: False
    if trainer.world_size > 1 and in_sweep():
        raise UserError(
            f"trainer: {trainer.world_size} processes asked for, but the runs of a sweep share one, which cannot start "
            "others; give trainer.devices=1, or start each run by itself"
        )
    return trainer


def _has(accelerator: str) -> bool:
    """Tell whether this machine has what Lightning calls so; a CPU is always there."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return accelerator not in ("gpu", "cuda", "mps") or (found is not None and accelerator in ("gpu", found.type))


def log_hyperparameters(loggers: list[Logger], config: DictConfig, more: Mapping[str, Any]) -> None:
    """Record the whole config and what else identifies a run with every logger."""
    groups = ("name", "tags", "model", "data", "trainer", "callbacks", "monitor", "seed")
    plain = OmegaConf.to_container(config, resolve=True)
    values = {key: plain.get(key) for key in groups} | dict(more)
    for logger in loggers:
        logger.log_hyperparams(values)
        if isinstance(logger, TensorBoardLogger) and not rank():  # its own would be written once, a part of it for good
            write_whole(Path(logger.log_dir) / logger.NAME_HPARAMS_FILE, OmegaConf.to_yaml(values).encode())
