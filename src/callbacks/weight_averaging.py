"""Averages of the weights over steps, for validation, checkpoints and the test."""

import math
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from src.utils.errors import UserError

_AVERAGED_BUFFERS = ("running_mean", "running_var")  # of batch norm; the mean of a counter or a table has no meaning


class AveragedWeights(WeightAveraging):
    """Lightning's weight averaging: average = average + `share` * (weights - average) after each step.

    While the share is 1 the average equals the weights, whereas Lightning would validate the initial weights. Only
    batch norm's buffers are averaged; all other buffers are copied from the model. A checkpoint holds the averaged
    weights as its model, and separately the weights from which a resumed run continues.
    """

    def __init__(self) -> None:
        super().__init__(multi_avg_fn=self._move)
        self._share = 0.0

    def share(self, trainer: Trainer) -> float:
        """Return the share, 0..1, of the new weights in the average after this step."""
        raise NotImplementedError

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(trainer.strategy, FSDPStrategy):
            raise UserError(
                "callbacks: weight averaging needs the whole model on each device, but fsdp splits it; use trainer=ddp"
            )
        self._device = trainer.strategy.root_device  # the model is moved there later
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and self._average_model is not None:
            self._average_model.n_averaged = torch.tensor(0)  # on the CPU, since every step reads it

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and self._share > 0

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        self._share = self.share(trainer)
        super().on_train_batch_end(trainer, *arguments)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._copy_other_buffers(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._copy_other_buffers(pl_module)
        super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._copy_other_buffers(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def _move(self, averages: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        if averages[0].is_floating_point():
            get_ema_multi_avg_fn(1.0 - self._share)(averages, weights, count)

    @torch.no_grad()
    def _copy_other_buffers(self, pl_module: LightningModule) -> None:
        if self._average_model is not None:
            named = self._average_model.module.named_buffers()
            for (name, average), buffer in zip(named, pl_module.buffers(), strict=True):
                if not name.endswith(_AVERAGED_BUFFERS):
                    average.copy_(buffer)


class ExponentialAverage(AveragedWeights):
    """An exponential moving average over optimizer steps, with a window that grows up to 1 / (1 - decay) steps.

    The decay of step n is min(decay, (1 + n) / (10 + n)), so that a short run does not average its first weights.
    """

    def __init__(self, decay: float = 0.999):
        if not 0 <= decay < 1:
            raise UserError(f"callbacks.ema.decay: {decay} given; give a number from 0 to below 1, such as 0.999")
        super().__init__()
        self.decay = decay

    def share(self, trainer: Trainer) -> float:
        return 1.0 - min(self.decay, (1 + trainer.global_step) / (10 + trainer.global_step))


class StochasticAverage(AveragedWeights):
    """The mean of the weights at the ends of the epochs after the fraction `start` of all epochs.

    Source: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, arXiv 1803.05407.
    """

    def __init__(self, start: float = 0.75):
        if not 0 <= start < 1:
            raise UserError(f"callbacks.swa.start: {start} given; give a fraction of the epochs, from 0 to below 1")
        super().__init__()
        self.start = start

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and (trainer.max_epochs or 0) < 1:
            raise UserError("callbacks.swa: its start is a fraction of the epochs; give trainer.max_epochs")
        super().setup(trainer, pl_module, stage)

    def share(self, trainer: Trainer) -> float:
        averaged = trainer.current_epoch - math.ceil(self.start * (trainer.max_epochs or 0))  # epochs before this one
        if averaged < 0:
            return 1.0
        return 1.0 / (averaged + 1) if trainer.is_last_batch else 0.0
