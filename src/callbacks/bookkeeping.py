"""Flush logs before each checkpoint, and record the origin and the metrics of a checkpoint in it."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class Bookkeeping(Callback):
    """Flushes the loggers before each checkpoint and after each epoch, and writes `origin` into checkpoints.

    A killed run continues from its newest checkpoint, and does not repeat earlier log entries. Lightning logs an
    epoch's training metrics after the epoch's checkpoint, so the checkpoint holds them, and a `resumed` run logs them.
    It also holds the last metrics, for callbacks that read them in an epoch without a validation.
    """

    def __init__(self, origin: Mapping[str, Any], resumed: bool = False):
        self.origin, self.resumed = dict(origin), resumed
        self._figures: dict[str, float] = {}
        self._metrics: dict[str, float] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = self.origin
        checkpoint["metrics"] = {name: value.item() for name, value in trainer.callback_metrics.items()}
        epochs: Any = trainer.fit_loop.epoch_progress.current
        if epochs.processed > epochs.completed:  # at the end of an epoch
            row = trainer._logger_connector.metrics["log"]  # callback_metrics also has validation's
            figures = {name: value.item() for name, value in row.items()}
            checkpoint["epoch_figures"] = figures | {"epoch": trainer.current_epoch}
        _flush(trainer)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._figures = checkpoint.get("epoch_figures", {})
        self._metrics = checkpoint.get("metrics", {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in self._metrics.items()})
        if self.resumed and self._figures:
            for logger in trainer.loggers:
                logger.log_metrics(self._figures, step=trainer.global_step - 1)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _flush(trainer)


def _flush(trainer: Trainer) -> None:
    for logger in trainer.loggers:
        logger.save()
