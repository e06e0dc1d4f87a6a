"""One line per epoch in the log file, and on the terminal if no progress bar is drawn."""

import logging
import math
import time
from typing import Any

from lightning import LightningModule, Trainer

from src.callbacks.progress import TrainingProgress, shortened, shown
from src.utils.multirun import job_label
from src.utils.terminal import FIRST_LINE_S, NEXT_LINE_S, duration, is_interactive

log = logging.getLogger(__name__)

_HEADER_EVERY = 20  # lines, so that a header is near the end of a long log
_WIDEST_NAME = 20  # characters of a metric in the header; the first line has the full name


class EpochLog(TrainingProgress):
    """Writes epoch, training loss, `metric`, its best value so far, seconds and the time left after each epoch.

    Long epochs have further lines after a validation or a minute, with the completed fraction, such as 1.25 of 50.
    Only the first of several processes writes.
    """

    order = -50  # before early stopping and others that log a message after the last epoch

    def __init__(self, metric: str, mode: str = "min"):
        super().__init__(metric, mode)
        self._lines = 0
        self._started, self._first_epoch = time.monotonic(), 0  # for a run that ends before training starts

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._started, self._first_epoch = time.monotonic(), self.epochs
        self._next_line = self._started + FIRST_LINE_S
        total = self.planned_epochs(trainer)
        until = "until it is stopped" if total is None else f"epochs {self.epochs + 1} to {total}"
        batches = f", {self._batches_per_epoch:,.0f} batches each" if math.isfinite(self._batches_per_epoch) else ""
        extreme = "lowest" if self.mode == "min" else "highest"
        self._write(trainer, f"training: {until}{batches}; the best epoch has the {extreme} {self.metric}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if time.monotonic() > self._next_line and not trainer.is_last_batch:
            self._write_part(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if self.validated and not trainer.is_last_batch:
            self._write_part(trainer, pl_module)

    def epoch_ended(self, trainer: Trainer) -> None:
        self._write_values(trainer, str(self.epochs), self.train_loss, self.value)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        count = self.epochs - self._first_epoch
        took = duration(time.monotonic() - self._started)
        where = f" in epoch {self.best_epoch}" if self.best_epoch else ""
        best = "" if self.best is None else f"; best {self.metric} {shown(self.best)}{where}"
        if count and trainer.is_global_zero:  # also on a terminal, where the bar has been removed
            log.info("%strained %d epoch%s in %s%s", job_label(), count, "" if count == 1 else "s", took, best)

    def _write_part(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the values of an incomplete epoch."""
        if trainer.is_global_zero:
            done = f"{self.epochs + self.fraction:.2f}" if self.fraction else f"batch {self.batches}"
            value = self.value if self.validated else None
            self._write_values(trainer, done, self.running_loss(pl_module), value)

    def _write_values(self, trainer: Trainer, done: str, train_loss: float | None, value: float | None) -> None:
        total, left = self.planned_epochs(trainer), self.seconds_left(trainer)
        name = shortened(self.metric, _WIDEST_NAME)
        widths = (8 if total is None else len(f"{total}.00/{total}"), 10, max(10, len(name)), 10, 7)
        if self._lines % _HEADER_EVERY == 0:
            headings = ("epoch", "train/loss", name, "best", "seconds")
            self._write(trainer, f"{_row(headings, widths)}  left, at most")
        values = (shown(train_loss), shown(value), shown(self.best), f"{self.epoch_seconds:.1f}")
        row = _row((done if total is None else f"{done}/{total}", *values), widths)
        self._write(trainer, row if left is None else f"{row}  {duration(left)}")
        self._lines += 1
        self._next_line = time.monotonic() + NEXT_LINE_S

    def _write(self, trainer: Trainer, line: str) -> None:
        """Log a line, only to files if a bar shows the same on the terminal."""
        if not trainer.is_global_zero:
            return
        line = f"{job_label()}{line}"
        if trainer.progress_bar_callback is None or not is_interactive():
            log.info("%s", line)
            return
        record = log.makeRecord(log.name, logging.INFO, __file__, 0, line, (), None)
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handle(record)


def _row(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
