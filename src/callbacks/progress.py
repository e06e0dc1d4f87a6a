"""The values that show whether a run learns: its losses, its best validation, and the time left."""

import math
import time
from collections import deque
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Timer
from torch import Tensor

from src.utils.errors import UserError, did_you_mean

_RECENT = 5  # epochs whose mean duration predicts later epochs: the first epochs compile and fill caches


class TrainingProgress(Callback):
    """Base class of the callbacks that show or record a run's progress.

    It follows the training loss and one `metric`, whose best value is the lowest, or with mode max the highest. Values
    are read from the device at the end of an epoch or a validation, never in each step.
    """

    def __init__(self, metric: str, mode: str = "min"):
        super().__init__()
        if mode not in ("min", "max"):
            raise UserError(f"{type(self).__name__}.mode: {mode!r} given; give min or max")
        self.metric, self.mode = metric, mode
        self._is_of_training = metric.startswith("train/")  # logged at the end of an epoch, after its validation
        self.epochs = self.batches = 0  # epochs completed, and batches of the current one
        self.train_loss: float | None = None  # the last values, or None if there are none yet
        self.value: float | None = None
        self.best: float | None = None
        self.best_epoch: int | None = None  # None if an earlier session found it
        self.validated = False  # in the current epoch
        self._durations: deque[float] = deque(maxlen=_RECENT)
        self._is_ending = False  # the epoch's last values are logged only after the callbacks' hooks

    def epoch_ended(self, trainer: Trainer) -> None:
        """Show or record the values of the epoch that has just ended."""

    @property
    def fraction(self) -> float:
        """The completed fraction of the current epoch, 0 if the data have no end."""
        return self.batches / self._batches_per_epoch if self.batches else 0.0

    @property
    def epoch_seconds(self) -> float:
        """The duration of the current epoch so far, including validations and checkpoints."""
        return time.monotonic() - self._began

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raise UserError for a metric that the module does not log."""
        super().setup(trainer, pl_module, stage)
        known = getattr(pl_module, "monitorable", ())
        if stage == "fit" and known and self.metric not in known:
            name = type(self).__name__
            raise UserError(f"{name}.metric: no metric '{self.metric}'.{did_you_mean(self.metric, known)}")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs = trainer.current_epoch
        self._batches_per_epoch = float(trainer.num_training_batches)
        self.best = _best_before(trainer, self.metric)
        loop = trainer.fit_loop
        self.batches = loop.epoch_loop.batch_progress.current.ready if loop.restarted_mid_epoch else 0
        self._start_epoch()  # Lightning does not call the next hook in an epoch that a resumed run completes

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_epoch(trainer)
        self.batches = 0
        self._start_epoch()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.batches = batch_idx + 1

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.validated = True
            if not self._is_of_training:
                self._observe(trainer.callback_metrics.get(self.metric), self.epochs + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._is_ending = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_epoch(trainer)

    def running_loss(self, pl_module: Any) -> float:
        """Return the mean training loss of this process's batches in this epoch; waits for the device."""
        terms = pl_module.train_terms
        return float(terms.sums[0] / terms.count)

    def planned_epochs(self, trainer: Trainer) -> int | None:
        """Return the number of epochs that the limits allow, or None if there is no limit."""
        done = self.epochs + self.fraction
        left = self._epochs_left(trainer)
        return None if left is None else math.ceil(round(done + left, 6))

    def seconds_left(self, trainer: Trainer) -> float | None:
        """Return the time until the limits end the run, or None if unknown; early stopping may end it sooner."""
        timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
        bounds = [left for left in (timer.time_remaining() for timer in timers) if left is not None]
        left = self._epochs_left(trainer)
        if left is not None and (self._durations or self.fraction > self._fraction_before):
            if self._durations:
                expected = sum(self._durations) / len(self._durations)
            else:  # from the batches of the first epoch so far
                expected = self.epoch_seconds / (self.fraction - self._fraction_before)
            bounds.append(left * expected)
        return max(0.0, min(bounds)) if bounds else None

    def _epochs_left(self, trainer: Trainer) -> float | None:
        """Return the number of epochs left by `max_epochs` and `max_steps`, with decimals."""
        bounds: list[float] = []
        if trainer.max_epochs is not None and trainer.max_epochs != -1:
            bounds.append(trainer.max_epochs - self.epochs - self.fraction)
        if trainer.max_steps != -1 and math.isfinite(self._batches_per_epoch):
            batches = (trainer.max_steps - trainer.global_step) * trainer.accumulate_grad_batches
            bounds.append(batches / self._batches_per_epoch)
        return max(0.0, min(bounds)) if bounds else None

    def _start_epoch(self) -> None:
        self._began = time.monotonic()
        self._fraction_before = self.fraction  # the part of this epoch that an earlier session completed
        self.validated = False

    def _end_epoch(self, trainer: Trainer) -> None:
        """Read the values of the epoch that has ended, once all values are logged."""
        if not self._is_ending:
            return
        self._is_ending = False
        if self._fraction_before == 0:
            self._durations.append(self.epoch_seconds)
        self.epochs, self.batches = self.epochs + 1, 0
        metrics = trainer.callback_metrics
        self.train_loss = _number(metrics.get("train/loss"))
        if self._is_of_training:
            self._observe(metrics.get(self.metric), self.epochs)
        elif not self.validated:
            self.value = None
        self.epoch_ended(trainer)

    def _observe(self, value: Tensor | None, epoch: int) -> None:
        self.value = _number(value)
        if self.value is None or math.isnan(self.value):
            return
        sign = 1 if self.mode == "min" else -1
        if self.best is None or sign * self.value < sign * self.best:
            self.best, self.best_epoch = self.value, epoch


def shown(value: float | None) -> str:
    """Return a loss or an error with four digits, `-` for None."""
    return "-" if value is None else f"{value:.4g}"


def shortened(metric: str, width: int) -> str:
    """Return a metric's name; if it is longer than `width`, without `val/`, and then without its beginning."""
    name = metric if len(metric) <= width else metric.removeprefix("val/")
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _number(value: Tensor | None) -> float | None:
    return None if value is None else float(value)


def _best_before(trainer: Trainer, metric: str) -> float | None:
    """Return the best value of earlier sessions, from the checkpoint callback."""
    for callback in trainer.checkpoint_callbacks:
        score = getattr(callback, "best_model_score", None)
        if getattr(callback, "monitor", None) == metric and isinstance(score, Tensor):
            return float(score)
    return None
