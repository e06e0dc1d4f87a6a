"""A progress bar with a table of the heads: the error of each head, and whether it decreases."""

from typing import Any, cast

from lightning import LightningModule, Trainer
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from src.callbacks.progress_bar import TrainingBar
from src.models.tasks.task import ShownMetric
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.terminal import is_interactive


class GroupedProgressBar(TrainingBar):
    """The progress bar, and below it each head's MAE of the last validation, in its unit, and its best so far.

    If standard output is not a terminal, only the last table is printed, at the end of training.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.table: Table | None = None
        self._last: dict[str, float] = {}
        self._best: dict[str, float] = {}

    def details(self) -> list[RenderableType]:
        return [*super().details(), *([self.table] if self.table else [])]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._read(trainer, cast(VIMHLitModule, pl_module).heads.shown_metrics)
        super().on_validation_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if self.table and trainer.is_global_zero and not is_interactive():
            Console().print(self.table)

    def _read(self, trainer: Trainer, rows: list[ShownMetric]) -> None:
        self.table = Table(
            Column("head", overflow="fold"),
            Column("unit", overflow="fold"),
            Column("MAE", no_wrap=True),
            "",
            Column("best", no_wrap=True),
            title=f"Validation in epoch {trainer.current_epoch + 1}",
        )
        for row in rows:
            name, value = row.label, float(trainer.callback_metrics[f"val/{row.metric}"])
            error = 1 - value if row.share else value
            change = error - self._last.get(name, error)
            arrow = Text("↓", "green") if change < 0 else Text("↑" if change > 0 else "", "red")
            self._last[name] = error
            self._best[name] = min(error, self._best.get(name, error))
            self.table.add_row(Text(name), Text(row.unit), f"{error:.4g}", arrow, f"{self._best[name]:.4g}")

    def state_dict(self) -> dict[str, Any]:
        return {"last": self._last, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._last, self._best = dict(state_dict["last"]), dict(state_dict["best"])
