"""A progress bar below a table of the heads: how far off each one is, and whether it gets better."""

import math
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Group
from rich.progress import Progress
from rich.text import Text

from src.utils.table import Column, table, terminal


class GroupedProgressBar(RichProgressBar):
    """Lightning's bar; above it each head's MAE of the last validation, in its unit, and its best so far.

    Where the output is no terminal, only the last table is written, at the end of the training.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.table: Group | None = None
        self._last: dict[str, float] = {}
        self._best: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if self.is_enabled and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._read(trainer, {one.name: one.unit for one in pl_module.spec.space})

    def _read(self, trainer: Trainer, units: dict[str, str]) -> None:
        rows = []
        for name, unit in units.items():
            error = float(trainer.callback_metrics.get(f"val/{name}_mae", math.nan))
            if math.isnan(error):  # a category has an accuracy instead
                unit, error = "share of wrong answers", 1 - float(trainer.callback_metrics[f"val/{name}_acc"])
            change = error - self._last.get(name, error)
            arrow = "↓" if change < 0 else "↑" if change > 0 else ""
            self._last[name] = error
            self._best[name] = min(error, self._best.get(name, error))
            rows.append([name, unit, f"{error:.4g}", arrow, f"{self._best[name]:.4g}"])
        columns = [Column("head", text=True), Column("unit", text=True), Column("MAE"), Column(""), Column("best")]
        console = terminal()
        drawn, _ = table(columns, rows, console.width, encoding=console.encoding)
        self.table = Group(Text(f"Validation after epoch {trainer.current_epoch}", "bold"), drawn)

    def _init_progress(self, trainer: Trainer) -> None:
        super()._init_progress(trainer)
        if self.progress is not None:  # rich asks for what to draw through this method
            self.progress.get_renderables = lambda: [self._drawn(trainer, self.progress)]

    def _drawn(self, trainer: Trainer, progress: Progress) -> Group:
        tables = [self.table] if self.table and trainer.state.fn == "fit" else []
        return Group(*tables, progress.make_tasks_table(progress.tasks))

    def state_dict(self) -> dict[str, Any]:
        return {"last": self._last, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._last, self._best = dict(state_dict["last"]), dict(state_dict["best"])
