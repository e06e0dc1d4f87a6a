"""Early stopping that a resumed run continues with its current patience."""

import logging
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from src.utils.multirun import job_label

log = logging.getLogger(__name__)

_REASONS = {
    EarlyStoppingReason.NON_FINITE_METRIC: "is not finite",
    EarlyStoppingReason.STOPPING_THRESHOLD: "has reached the stopping threshold",
    EarlyStoppingReason.DIVERGENCE_THRESHOLD: "has passed the divergence threshold",
}


class ResumableEarlyStopping(EarlyStopping):
    """Immediately ends a run that is resumed after early stopping, unless its patience is larger now.

    Lightning's callback trains such a run for one more epoch, since checkpoints do not record that the trainer should
    stop, and it uses the checkpoint's patience.
    """

    @property
    def state_key(self) -> str:
        return super().state_key.removeprefix("Resumable")  # also reads checkpoints of Lightning's own callback

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            self._log(self._reason())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})
        if self.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED:  # wait_count and the new patience decide
            self.stopping_reason, self.stopping_reason_message = EarlyStoppingReason.NOT_STOPPED, None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True
            self._log(self._reason())
        elif self.wait_count >= max(1, self.patience):
            trainer.should_stop = True
            self._log(f"{self._patience_exhausted()}; increase the patience to train longer")

    def _reason(self) -> str:
        reason = _REASONS.get(self.stopping_reason)
        return f"{self.monitor} {reason}" if reason else self._patience_exhausted()

    def _patience_exhausted(self) -> str:
        checks = "1 validation" if self.wait_count == 1 else f"{self.wait_count} validations"
        return f"{self.monitor} has not improved for {checks}; its best value is {float(self.best_score):.4g}"

    def _log(self, reason: str) -> None:
        log.info("%searly stopping: %s", job_label(), reason)
