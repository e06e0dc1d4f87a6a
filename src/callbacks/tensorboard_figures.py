"""What TensorBoard shows beside curves: the network's graph, and each head's predictions on validation sounds."""

import logging
import warnings

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from src.callbacks.base import ScheduledCallback
from src.data.vimh_dataset import Batch
from src.evaluation.plots import error_figure, scatter_figure

log = logging.getLogger(__name__)

SHOWN = 256  # sounds in a figure: more would only hide each other


class TensorBoardFigures(ScheduledCallback):
    """Draws the first validation batch every `every_n_epochs` epochs and after the last; nothing without TensorBoard.

    It only watches: predictions are made in the validation loop, where the model is in eval mode, and the graph is
    traced on a model in eval mode, so neither draws random numbers.
    """

    rank_zero = True

    def __init__(self, every_n_epochs: int = 50, graph: bool = True):
        super().__init__()
        self.every_n_epochs = every_n_epochs
        self.graph = graph

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Trace the network once, before anything compiles it or moves it to a device."""
        super().setup(trainer, pl_module, stage)
        writer = _writer(trainer)
        if writer is None or stage != "fit" or not self.graph:
            return
        image = torch.zeros(1, *pl_module.spec.image_shape, device=pl_module.device)
        try:
            with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
                warnings.simplefilter("ignore")  # of branches that depend on shapes: a run has one shape
                writer.add_graph(pl_module.network, image)
        except RuntimeError as error:  # a network that looks at its data cannot be traced: it trains all the same
            log.warning("tensorboard_figures: the network's graph is left out (%s)", str(error).strip().split("\n")[0])

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        epoch = trainer.current_epoch + 1
        due = epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs
        writer = _writer(trainer)
        if batch_idx or trainer.sanity_checking or not due or writer is None:
            return
        space = pl_module.spec.space
        predicted = pl_module.values(batch["image"][:SHOWN], batch["scale"][:SHOWN]).float().cpu().numpy()
        truth = space.denormalize(batch["target"][:SHOWN].cpu().numpy())
        writer.add_figure("val/predictions", scatter_figure(space, truth, predicted), trainer.global_step)
        writer.add_figure("val/errors", error_figure(space, predicted - truth), trainer.global_step)


def _writer(trainer: Trainer) -> SummaryWriter | None:
    """Return the TensorBoard writer of the first process; None where there is none."""
    if not trainer.is_global_zero:
        return None
    return next((one.experiment for one in trainer.loggers if isinstance(one, TensorBoardLogger)), None)
