"""The speed of training."""

import time

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from src.data.dataset import Batch


class Throughput(Callback):
    """Logs samples and batches per second of each epoch, over all processes, without the time of validations.

    It waits for the accelerator once an epoch; Lightning's ThroughputMonitor waits in every batch.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_train_epoch_start(trainer, pl_module)  # Lightning does not call it if a resumed run continues an epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._samples = self._batches = 0
        self._elapsed = 0.0
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        self._samples += len(batch["image"])
        self._batches += 1

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._pause(pl_module.device)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pause(pl_module.device)
        rates = {
            "throughput/samples_per_second": self._samples * trainer.world_size / self._elapsed,
            "throughput/batches_per_second": self._batches / self._elapsed,
        }
        pl_module.log_dict(rates)

    def _pause(self, device: torch.device) -> None:
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()  # before this, the steps are only queued
        self._elapsed += time.perf_counter() - self._since
