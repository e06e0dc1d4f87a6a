"""A CSV file of metrics that stays readable if a run is killed; a resumed run continues it."""

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from src.utils.files import write_atomic


class ResumableCSVLogger(CSVLogger):
    """Lightning's CSV logger, except that it writes each row immediately.

    With `purge_step` it keeps the rows of an existing file before that step; later rows will be logged again. A row
    that was kept is not written twice.
    """

    def __init__(self, *arguments: Any, purge_step: int | None = None, **options: Any):
        options["flush_logs_every_n_steps"] = 1
        super().__init__(*arguments, **options)
        self._purge_step = purge_step

    @property
    def experiment(self) -> ExperimentWriter:
        if rank_zero_only.rank == 0 and self._experiment is None:  # type: ignore[attr-defined]
            self._experiment = _Writer(self.log_dir, self._purge_step)
        return super().experiment


class _Writer(ExperimentWriter):
    def __init__(self, log_dir: str, purge_step: int | None):
        path = Path(log_dir) / self.NAME_METRICS_FILE
        kept = [] if purge_step is None else [row for row in _read(path) if int(row["step"]) < purge_step]
        super().__init__(log_dir)
        self.path, self._kept = path, kept
        self.rows: list[dict[str, Any]] = list(kept)
        self.metrics_keys = sorted({name for row in kept for name in row})
        if kept:
            self._write()

    def _check_log_dir_exists(self) -> None:
        """Keep the file, which Lightning would remove here; writing the first row replaces it."""

    def save(self) -> None:
        new = [row for row in self.metrics if {name: str(value) for name, value in row.items()} not in self._kept]
        self.metrics = []
        names = sorted({*self.metrics_keys, *(name for row in new for name in row)})
        self.rows += new
        if names != self.metrics_keys or len(self.rows) == len(new):
            self.metrics_keys = names
            self._write()
        elif new:
            with self.path.open("a", newline="") as file:
                file.write(_lines(new, names))

    def _write(self) -> None:
        header = _lines([dict(zip(self.metrics_keys, self.metrics_keys, strict=True))], self.metrics_keys)
        write_atomic(self.path, (header + _lines(self.rows, self.metrics_keys)).encode())


def _lines(rows: list[dict[str, Any]], names: list[str]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, names).writerows(rows)
    return text.getvalue()


def _read(path: Path) -> list[dict[str, str]]:
    """Return the complete rows of a file, without their empty cells."""
    if not path.is_file():
        return []
    lines = path.read_text().splitlines(keepends=True)
    rows = csv.DictReader(line for line in lines if line.endswith("\n"))
    return [{name: value for name, value in row.items() if value} for row in rows if row["step"]]
