"""Figures for TensorBoard: the network's graph, and the predictions of each head for validation sounds."""

import logging
import warnings
from typing import Any, cast

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import FSDPStrategy
from torch.utils.tensorboard import SummaryWriter

from src.callbacks.base import ScheduledCallback
from src.data.dataset import Batch, map_tensors
from src.evaluation.plots import error_figure, scatter_figure
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import first_line

log = logging.getLogger(__name__)

SHOWN = 256  # sounds in a figure: with more, points would cover each other


class TensorBoardFigures(ScheduledCallback):
    """Draws the predictions for the first validation batch every `every_n_epochs` epochs and after the last one.

    It draws nothing without TensorBoard, and only the graph with fsdp. It does not change the training: it predicts and
    traces the graph in eval mode, which draws no random numbers.
    """

    rank_zero = True
    order = 1  # after weight averaging, which replaces the model's weights at the end of the training

    def __init__(self, every_n_epochs: int = 50, graph: bool = True, on_error: str = "warn"):
        super().__init__(on_error=on_error)
        self.every_n_epochs = every_n_epochs
        self.graph = graph
        self._sounds: Batch | None = None  # of the last validation, until it is drawn

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Trace the network once, before it is compiled or moved to a device."""
        super().setup(trainer, pl_module, stage)
        writer = tensorboard_writer(trainer)
        if writer is None or stage != "fit" or not self.graph:
            return
        module = cast(VIMHLitModule, pl_module)
        image = torch.zeros(1, *module.spec.image_shape, device=module.device)
        try:
            with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
                warnings.simplefilter("ignore")  # about branches that depend on shapes: a run has one shape
                writer.add_graph(module.network, image)
        except RuntimeError as error:  # a network whose branches depend on its input can only be trained
            log.warning("tensorboard_figures: the network's graph cannot be drawn (%s)", first_line(error))

    def on_validation_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx or trainer.sanity_checking or tensorboard_writer(trainer) is None:
            return
        if isinstance(trainer.strategy, FSDPStrategy):  # no process holds the whole network
            return
        self._sounds = map_tensors(lambda values: values[:SHOWN].clone(), batch)
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._draw(trainer, pl_module, self._sounds)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._sounds is not None:  # only here it is known which epoch was the last
            pl_module.eval()
            self._draw(trainer, pl_module, self._sounds)
            pl_module.train()

    @torch.no_grad()
    def _draw(self, trainer: Trainer, pl_module: LightningModule, sounds: Batch) -> None:
        self._sounds = None
        module, writer = cast(VIMHLitModule, pl_module), tensorboard_writer(trainer)
        if writer is None:
            return
        points = module.heads.points(module(sounds["image"], sounds.get("scale")), sounds)
        if points is None:
            return
        space, truth, predicted = points.space, points.truth, points.predicted
        writer.add_figure("val/predictions", scatter_figure(space, truth, predicted), trainer.global_step)
        writer.add_figure("val/errors", error_figure(space, predicted - truth), trainer.global_step)


def tensorboard_writer(trainer: Trainer) -> SummaryWriter | None:
    """Return the TensorBoard writer; None without TensorBoard and in other processes than the first."""
    if not trainer.is_global_zero:
        return None
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
