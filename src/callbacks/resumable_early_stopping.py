"""Early stopping that a resumed run keeps to, with the patience that it is given now."""

import logging
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

log = logging.getLogger(__name__)


class ResumableEarlyStopping(EarlyStopping):
    """Ends a run at once that is resumed after it had stopped, unless its patience is larger now.

    Lightning's trains such a run for one more epoch, since no checkpoint holds that the trainer should stop, and
    goes on with the patience of the checkpoint.
    """

    @property
    def state_key(self) -> str:
        return super().state_key.removeprefix("Resumable")  # of checkpoints with Lightning's own, too

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            log.info("early stopping: %s", self.stopping_reason_message)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})
        if self.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED:  # whether it is so still, wait_count says
            self.stopping_reason, self.stopping_reason_message = EarlyStoppingReason.NOT_STOPPED, None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True
            log.info("early stopping: %s", self.stopping_reason_message)
        elif self.wait_count >= max(1, self.patience):
            trainer.should_stop = True
            message = "early stopping: %s has not improved for %d checks; a larger patience trains on"
            log.info(message, self.monitor, self.wait_count)
