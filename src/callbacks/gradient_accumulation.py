"""A larger effective batch in later epochs, by accumulating gradients."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler


class GradientAccumulation(GradientAccumulationScheduler):
    """Lightning's schedule, which also works for a run resumed within an epoch, where Lightning calls no hook."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.on_train_epoch_start(trainer)
