"""Create Lightning's objects from their configs."""

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
from src.cli.resume import how_to_continue
from src.run.ranks import explain_death, launched, rank
from src.utils.errors import UnavailableError, UserError, one_line
from src.utils.files import write_atomic
from src.utils.multirun import in_sweep
from src.utils.plain import to_plain
from src.utils.workers import MOST_PROCESSES

log = logging.getLogger(__name__)

_MOST_THREADS = 1024
_PRECISIONS = ("32-true", "32", "bf16-mixed", "16-mixed")


def quiet_lightning() -> None:
    """Drop Lightning's messages that do not help the user, and all warnings of processes other than the first."""
    if rank():
        warnings.simplefilter("ignore")
    # a batch is one indexing operation here, so the workers that Lightning advises would slow loading down
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    # the logged metrics are already summed over all processes, and count every sample once
    warnings.filterwarnings("ignore", message=".*recommended to use `self.log.*sync_dist=True.*")
    # a resumed epoch continues with its next batch, and a resumed run continues in its own directory
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    warnings.filterwarnings("ignore", message=".*[Dd]irectory .* exists and is not empty.*")
    # if a resumed run has fewer callbacks, that is intended
    warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided.*")
    warnings.filterwarnings("ignore", message=".*`LeafSpec.*|.*treespec.*", category=FutureWarning)
    if logging.root.handlers:  # otherwise Lightning's own handlers would print each message again
        logging.getLogger("lightning").handlers.clear()
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").addFilter(explain_death)
    for name in ("pytorch.utilities.rank_zero", "fabric.utilities.distributed"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)


def apply_extras(config: DictConfig) -> None:
    """Seed everything, set the number of threads, and print the config if extras.print_config is true."""
    quiet_lightning()
    if "seed" in config:
        if type(config.seed) is not int or not 0 <= config.seed < 2**32:
            given = "null" if config.seed is None else config.seed
            raise UserError(f"seed: {given} given; give a whole number from 0 to {2**32 - 1}")
        seed_everything(config.seed, workers=True, verbose=False)
    threads = config.extras.num_threads
    if threads is not None:
        if type(threads) is not int or not 1 <= threads <= _MOST_THREADS:
            raise UserError(f"extras.num_threads: {threads} given; give 1 to {_MOST_THREADS}, or null for all cores")
        torch.set_num_threads(threads)
    if config.get("deterministic"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; otherwise sums differ
        log.info(
            "deterministic: results are bit-identical on this machine with %d threads, but not with another number of "
            "threads, another processor or another version of torch%s",
            torch.get_num_threads(),
            ", or with another compiler, since the model is compiled" if config.model.get("compile") else "",
        )
    if config.extras.print_config and not rank():
        Console().print(Syntax(OmegaConf.to_yaml(config, resolve=True), "yaml"))


def build(config: DictConfig, where: str) -> Any:
    """Instantiate one object; a UserError names the config group and the cause."""
    if not OmegaConf.is_dict(config) or "_target_" not in config:
        raise UserError(
            f"{where}: has values but no _target_, so nothing can be built; add it with +{where.replace('.', '=')}"
        )
    try:
        return instantiate(config)
    except InstantiationException as error:
        cause = one_line(error.__cause__ or error)
        raise UserError(cause if cause.startswith(f"{where}.") else f"{where}: {cause}") from error


def build_all(configs: DictConfig | None, where: str) -> list[Any]:
    """Instantiate a group keyed by role, such as callbacks or loggers."""
    return [build(config, f"{where}.{name!s}") for name, config in (configs or {}).items() if config]


def build_trainer(config: DictConfig) -> Trainer:
    """Instantiate callbacks, loggers and the trainer; raise UserError if the accelerator is not there."""
    loggers = build_all(config.get("logger"), "logger")
    callbacks = build_all(config.get("callbacks"), "callbacks")
    if not config.trainer.get("enable_progress_bar", True):
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    accelerator, precision = config.trainer.accelerator, str(config.trainer.get("precision", "32-true"))
    if precision not in _PRECISIONS:
        raise UserError(
            f"trainer.precision: {precision} given; give one of {', '.join(_PRECISIONS)}: "
            "the weights are always float32"
        )
    devices = config.trainer.get("devices")
    if isinstance(devices, int) and devices > MOST_PROCESSES:
        raise UserError(f"trainer.devices: {devices} given; give at most {MOST_PROCESSES} on this machine")
    wrappers = (config.get("model") or {}).get("wrappers") or {}
    if precision == "16-mixed" and {"sam", "asam"} & set(wrappers):  # also on a CPU, where Lightning uses bf16 instead
        raise UserError(
            "model.wrappers: SAM and ASAM need two passes per step, and trainer.precision=16-mixed scales the loss of "
            "only one; use bf16-mixed or 32-true"
        )
    keeps = any(isinstance(callback, Checkpoint) for callback in callbacks)  # otherwise Lightning adds its own
    try:
        given = {"callbacks": callbacks, "logger": loggers or False, "enable_checkpointing": keeps}
        given["enable_progress_bar"] = any(isinstance(callback, ProgressBar) for callback in callbacks)  # likewise
        given["plugins"] = [WholeCheckpoints(how_to_continue(Path(config.paths.output_dir)))]
        if config.get("deterministic"):
            given["deterministic"] = True  # raises an error, whereas the trainer's own `warn` only logs a warning
        trainer = instantiate(config.trainer, **given, **launched(), _convert_="all")  # max_time may be a dict
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException) and not _has(accelerator):
            raise UnavailableError(
                f"trainer: this machine has no {accelerator}; use trainer=cpu or trainer=auto"
            ) from error
        raise UserError(f"trainer: {one_line(error.__cause__ or error)}") from error
    # with max_steps Lightning assumes that a resumed run is within an epoch, and would not start the next epoch
    trainer.fit_loop._iteration_based_training = lambda: False
    if trainer.world_size > 1 and in_sweep():
        raise UserError(
            f"trainer: {trainer.world_size} processes needed, but the runs of a sweep share one process, which cannot "
            "start others; give trainer.devices=1, or start each run separately"
        )
    return trainer


def _has(accelerator: str) -> bool:
    """Return whether this machine has an accelerator, by Lightning's name for it; a CPU always exists."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return accelerator not in ("gpu", "cuda", "mps") or (found is not None and accelerator in ("gpu", found.type))


def log_hyperparameters(loggers: list[Logger], config: DictConfig, more: Mapping[str, Any]) -> None:
    """Record the config, and the other values that identify a run, with every logger."""
    groups = ("name", "tags", "model", "data", "trainer", "callbacks", "monitor", "seed")
    plain = to_plain(config)
    values = {key: plain.get(key) for key in groups} | dict(more)
    for logger in loggers:
        logger.log_hyperparams(values)
        if isinstance(logger, TensorBoardLogger) and not rank():  # its own file is incomplete and never updated
            write_atomic(Path(logger.log_dir) / logger.NAME_HPARAMS_FILE, OmegaConf.to_yaml(values).encode())
