"""The effects of half precision: the loss scale, skipped steps, and losses and gradients that are not finite."""

import logging
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from src.callbacks.base import ScheduledCallback
from src.callbacks.gradient_stats import norms

log = logging.getLogger(__name__)


class PrecisionMonitor(ScheduledCallback):
    """Logs once an epoch how many losses and gradients were not finite.

    With precision 16-mixed it also logs how many steps were skipped for that reason, and the loss scale, which each
    skipped step lowers. A few skipped steps are normal; a scale that only decreases means that float16 is not enough.
    """

    def __init__(self, on_error: str = "warn"):
        super().__init__(on_error=on_error)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._idle = trainer.precision.startswith("32")
        if self._idle and stage == "fit":
            log.info("precision_monitor: trainer.precision is %s, so there is nothing to monitor", trainer.precision)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._scaler = getattr(trainer.precision_plugin, "scaler", None)
        self._parameters = [parameter for parameter in pl_module.parameters() if parameter.requires_grad]
        self._start(pl_module)
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(self._count_step)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if not self._idle:
            self._bad[0] += ~loss.detach().isfinite()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if not self._idle:
            self._tried += 1
            gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
            self._bad[1] += ~norms(gradients).isfinite().all()

    def act(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._idle:
            return
        losses, gradients = trainer.strategy.reduce(self._bad, reduce_op="sum").unbind()
        figures = {"nonfinite_losses": losses, "nonfinite_gradients": gradients / trainer.world_size}
        if self._scaler is not None:
            figures |= {"loss_scale": self._scaler.get_scale(), "skipped_steps": float(self._tried - self._made)}
        pl_module.log_dict({f"precision/{name}": value for name, value in figures.items()}, rank_zero_only=True)
        self._start(pl_module)

    def _start(self, module: LightningModule) -> None:
        self._bad = torch.zeros(2, device=module.device)
        self._tried = self._made = 0

    def _count_step(self, *_: Any) -> None:
        self._made += 1  # a scaler that skips a step does not call the optimizer
