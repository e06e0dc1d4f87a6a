"""A ModelCheckpoint that also works in a resumed run, and in a directory that was moved."""

import math
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from src.utils.errors import UserError, shown


class ResumableCheckpoint(ModelCheckpoint):
    """Continues to compare with the best checkpoint of the resumed run, as long as its file is in the run's directory.

    Lightning forgets the best score if the directory changes, so a resumed run could end with a worse checkpoint than
    an uninterrupted run. A run whose directory was moved finds its files in the new directory. A new run that starts
    from a checkpoint has no best checkpoint yet.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.save_top_k not in (0, 1) and "{" not in (self.filename or "{"):
            raise UserError(
                f"save_top_k: {self.save_top_k} given, but all files would be {self.filename}.ckpt, so the newest "
                "would replace the best; +callbacks=periodic_checkpoint keeps several"
            )
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if can_resume_after(trainer, batch_idx):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state. It comes from a file, and this callback deletes files: only its own files count."""
        state: dict[str, Any] = {
            key: self._own(value) if key.endswith("_path") else value for key, value in state_dict.items()
        }
        scores = {self._own(path): score for path, score in state_dict["best_k_models"].items()}
        state["best_k_models"] = {path: score for path, score in scores.items() if path}
        if state["best_model_path"]:
            super().load_state_dict(state | {"dirpath": self.dirpath})
        self.current_score = state["current_score"]  # Lightning saves it, but does not restore it

    def _own(self, path: str) -> str:
        """Return the path in this run's directory of a file that a checkpoint names, or an empty text if it is absent.

        Raises UserError unless it is a local checkpoint: Lightning would take `local:///home` as a store and clear it,
        and a path with `..` as one in this directory.
        """
        odd = not path.isprintable() or "::" in path or "://" in path or ".." in Path(path).parts
        if path and (odd or Path(path).suffix != ".ckpt"):
            raise UserError(
                f"ckpt_path: its callbacks name {shown(path)}, which is not the path of a checkpoint; train again"
            )
        here = Path(self.dirpath or "") / Path(path).name
        return str(here) if path and here.is_file() else ""


def can_resume_after(trainer: Trainer, batch_idx: int) -> bool:
    """Return whether a checkpoint after this batch loses nothing.

    It loses accumulated gradients, which no checkpoint holds, and a validation that is due now. At the end of an
    epoch, the epoch's own checkpoint follows.
    """
    done = batch_idx + 1
    waiting = done % trainer.accumulate_grad_batches != 0
    if trainer.check_val_every_n_epoch is None:  # val_check_interval counts the batches of the whole run
        done = trainer.fit_loop.total_batch_idx + 1
    validates = done % (trainer.val_check_batch or math.inf) == 0  # None if it is a time
    return not (waiting or validates or trainer.is_last_batch)
