"""A ModelCheckpoint that a resumed run goes on with, wherever its directory now is."""

import math
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from src.utils.errors import UserError, shown


class ResumableCheckpoint(ModelCheckpoint):
    """Keeps comparing with the best of the run that is resumed, as long as its file is there.

    Lightning forgets the best score when the directory changes, so that a resumed run could end
    with a worse checkpoint than an uninterrupted one. A run whose directory was moved finds its files there.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.save_top_k not in (0, 1) and "{" not in (self.filename or "{"):
            raise UserError(
                f"save_top_k: {self.save_top_k} given to a checkpoint whose one file is {self.filename}.ckpt, which "
                "the newest would take from the best; +callbacks=periodic_checkpoint keeps more"
            )
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if can_resume_after(trainer, batch_idx):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state; it comes out of a file, whose paths this callback would read, replace and delete."""
        state = {key: self._moved(value) if key.endswith("_path") else value for key, value in state_dict.items()}
        state["best_k_models"] = {self._moved(path): score for path, score in state_dict["best_k_models"].items()}
        if Path(state["best_model_path"]).is_file():
            state["dirpath"] = self.dirpath
        super().load_state_dict(state)
        self.current_score = state["current_score"]  # Lightning saves it, and leaves it out here

    def _moved(self, path: str) -> str:
        """Return where a file named in a checkpoint is: in this directory, or else where it was.

        UserError for anything but a local checkpoint: Lightning takes `local:///home` for a store, and clears it.
        """
        if path and (not path.isprintable() or "::" in path or "://" in path or Path(path).suffix != ".ckpt"):
            raise UserError(f"ckpt_path: its callbacks name {shown(path)}, which is no checkpoint's path; train again")
        here = Path(self.dirpath or "") / Path(path).name
        return str(here) if path and here.is_file() else path


def can_resume_after(trainer: Trainer, batch_idx: int) -> bool:
    """Tell whether a run resumed from the end of this batch would leave nothing out.

    It would leave out the gradients that wait for their step, which no checkpoint holds, and a validation that
    is due now: an epoch's end saves then.
    """
    done = batch_idx + 1
    waiting = done % trainer.accumulate_grad_batches != 0
    if trainer.check_val_every_n_epoch is None:  # validations come by batches of the whole run
        done = trainer.fit_loop.total_batch_idx + 1
    validates = done % (trainer.val_check_batch or math.inf) == 0  # None where they come by the clock
    return not (waiting or validates or trainer.is_last_batch)
