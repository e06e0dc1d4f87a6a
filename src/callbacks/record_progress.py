"""Record a run's progress in run.json, for tables of runs."""

import time

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from src.callbacks.progress import TrainingProgress
from src.callbacks.pruning import Pruning
from src.run.record import Session

_EVERY_S = 5  # writing a record to the disk may take as long as a short epoch


class RecordProgress(TrainingProgress):
    """Keeps the completed epochs, the best value of `metric` and the time in a session's entry of run.json."""

    def __init__(self, session: Session, metric: str):
        super().__init__(metric)
        self.session = session
        self._next_write = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._training_began = time.monotonic()

    def epoch_ended(self, trainer: Trainer) -> None:
        planned = self.planned_epochs(trainer)
        self.session.entry.update(epochs=self.epochs, planned_epochs=planned, score=self.best)
        self.session.entry["training_seconds"] = time.monotonic() - self._training_began
        if time.monotonic() >= self._next_write:
            self.session.write()
            self._next_write = time.monotonic() + _EVERY_S

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        pruned = any(isinstance(callback, Pruning) and callback.pruned for callback in trainer.callbacks)  # type: ignore[attr-defined]
        score = getattr(best_by_metric(trainer), "best_model_score", None)
        score = trainer.callback_metrics.get(self.metric) if score is None else score  # testing clears the latter
        self.session.entry |= {"pruned": pruned, "score": None if score is None else float(score)}


def best_by_metric(trainer: Trainer) -> Checkpoint | None:
    """Return the callback that keeps the best checkpoint by a metric, if there is such a callback."""
    by_metric = (callback for callback in trainer.checkpoint_callbacks if getattr(callback, "monitor", None))
    return next(by_metric, trainer.checkpoint_callback)
