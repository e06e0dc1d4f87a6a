"""A progress bar that shows whether a run learns, in two lines of 80 columns."""

import math
import time
from contextlib import ExitStack
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar as Bar
from rich.table import Column, Table
from rich.text import Text

from src.callbacks.progress import TrainingProgress, shortened, shown
from src.utils.terminal import duration, is_interactive, logged_above

_LOSS_EVERY_S = 1.0  # reading the loss waits for the device
_WIDEST_NAME = 40  # characters of a metric


class TrainingBar(TrainingProgress, ProgressBar):
    """Draws the epoch, the training loss, `metric`, its best value so far and the time left during a run.

    It is drawn `refresh_rate` times a second; drawing takes a millisecond, during which training waits. If standard
    output is not a terminal, nothing is drawn or written; src.callbacks.epoch_log writes there instead.
    """

    def __init__(self, metric: str, mode: str = "min", refresh_rate: float = 4):
        super().__init__(metric, mode)
        self.refresh_rate = refresh_rate
        self._is_enabled = True
        self._live: Live | None = None
        self._cleanup = ExitStack()
        self._label, self._done, self._total = "", 0, 0.0  # of the bar itself
        self._next_draw = self._next_loss = 0.0

    def enable(self) -> None:
        self._is_enabled = True

    def disable(self) -> None:
        self._is_enabled = False

    def details(self) -> list[RenderableType]:
        """Return the lines below the bar."""
        name = shortened(self.metric, _WIDEST_NAME)
        values = [f"train/loss {shown(self.train_loss)}", f"{name} {shown(self.value)}", f"best {shown(self.best)}"]
        return [Text("   ".join(values))]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._show_epoch()
        self._start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self._show_epoch()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._done = self.batches
        now = time.monotonic()
        if now < self._next_draw or self._live is None:
            return
        if now >= self._next_loss:
            self.train_loss = self.running_loss(pl_module)
            self._next_loss = now + _LOSS_EVERY_S
        self._draw()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = f"{self._label}, " if trainer.state.fn == "fit" else ""
        self._label, self._done, self._total = f"{before}validation", 0, sum(trainer.num_val_batches)
        if trainer.state.fn != "fit":
            self._start()

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        self._done += 1
        if time.monotonic() >= self._next_draw:
            self._draw()

    on_test_batch_end = on_validation_batch_end

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn != "fit":
            self._stop()
        elif not trainer.sanity_checking:  # which happens before the first epoch
            self._show_epoch()
            self._draw()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._label, self._done, self._total = "test", 0, sum(trainer.num_test_batches)
        self._start()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _show_epoch(self) -> None:
        total = self.planned_epochs(self.trainer)
        self._label = f"epoch {self.epochs + 1}" if total is None else f"epoch {self.epochs + 1}/{total}"
        self._done, self._total = self.batches, self._batches_per_epoch

    def _start(self) -> None:
        """Begin to draw; other output to the terminal appears above the bar."""
        if not (self._is_enabled and is_interactive()) or self._live is not None:
            return
        self._live = Live(get_renderable=self._render, console=Console(), auto_refresh=False, transient=True)
        self._live.start(refresh=True)
        self._cleanup.callback(self._live.stop)
        self._cleanup.enter_context(logged_above())

    def _stop(self) -> None:
        self._cleanup.close()
        self._live = None

    def _draw(self) -> None:
        if self._live is not None:
            self._live.refresh()
            self._next_draw = time.monotonic() + 1 / self.refresh_rate

    def _render(self) -> RenderableType:
        has_end = math.isfinite(self._total)
        line = Table.grid(Column(no_wrap=True), Column(ratio=1), Column(no_wrap=True), padding=(0, 1), expand=True)
        counts = f"{self._done}/{self._total:.0f}" if has_end else str(self._done)
        if self.trainer.state.fn != "fit":
            line.add_row(self._label, Bar(self._total, self._done), counts)
            return line
        left = self.seconds_left(self.trainer)
        line.add_row(
            self._label,
            Bar(self._total if has_end else None, self._done),
            counts if left is None else f"{counts}   at most {duration(left)} left",
        )
        return Group(line, *self.details())
