"""Where a callback's sounds, figures and values go: TensorBoard, W&B, otherwise files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure

from src.evaluation.plots import save_figure
from src.spectral.audio_file import write_clip


def show_sound(trainer: Trainer, directory: Path, name: str, audio: np.ndarray, sample_rate: int) -> None:
    """Show a sound (T,) float32 as sounds/`name`, or write it to `directory`; samples beyond full scale are clipped."""
    audio, tag, step = audio.clip(-1.0, 1.0), f"sounds/{name}", trainer.global_step
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_audio(tag, audio[None], step, sample_rate)
        elif isinstance(logger, WandbLogger):
            logger.log_audio(tag, [audio], step, sample_rate=[sample_rate])
    if not _draws(trainer):
        write_clip(_path(trainer, directory, f"{name}.wav"), audio, sample_rate)


def show_figure(trainer: Trainer, directory: Path, name: str, figure: Figure) -> None:
    """Show a figure as sounds/`name`, or write it to `directory`."""
    tag, step = f"sounds/{name}", trainer.global_step
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(tag, figure, step)
        elif isinstance(logger, WandbLogger):
            logger.log_image(tag, [figure], step)
    if not _draws(trainer):
        save_figure(figure, _path(trainer, directory, f"{name}.png"))


def show_values(trainer: Trainer, values: Mapping[str, float]) -> None:
    """Log values as sounds/NAME by every logger."""
    for logger in trainer.loggers:
        logger.log_metrics({f"sounds/{name}": value for name, value in values.items()}, trainer.global_step)


def _draws(trainer: Trainer) -> bool:
    return any(isinstance(logger, TensorBoardLogger | WandbLogger) for logger in trainer.loggers)


def _path(trainer: Trainer, directory: Path, name: str) -> Path:
    folder = directory / f"step_{trainer.global_step}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
