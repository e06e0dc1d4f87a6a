"""A progress bar below a table of the heads: how far off each one is, and whether it gets better."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Group
from rich.progress import Progress
from rich.table import Table


class GroupedProgressBar(RichProgressBar):
    """Lightning's bar; above it each head's MAE of the last validation, in its unit, and its best so far.

    Where the output is no terminal, only the last table is written, at the end of the training.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.table: Table | None = None
        self._last: dict[str, float] = {}
        self._best: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if self.is_enabled and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._read(trainer, {one.name: one.unit for one in pl_module.spec.space})

    def _read(self, trainer: Trainer, units: dict[str, str]) -> None:
        self.table = Table("head", "unit", "MAE", "", "best", title=f"Validation after epoch {trainer.current_epoch}")
        for name, unit in units.items():
            mae = float(trainer.callback_metrics[f"val/{name}_mae"])
            change = mae - self._last.get(name, mae)
            arrow = "[green]↓[/]" if change < 0 else "[red]↑[/]" if change > 0 else ""
            self._last[name] = mae
            self._best[name] = min(mae, self._best.get(name, mae))
            self.table.add_row(name, unit, f"{mae:.4g}", arrow, f"{self._best[name]:.4g}")

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
