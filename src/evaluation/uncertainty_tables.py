"""Tables of how far uncertainties hold, and of categorical heads; and the file of all confusions."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from src.evaluation.ensemble_intervals import INTERVAL_NOTE, width_table
from src.evaluation.intervals import significant
from src.utils.table import Column, csv_text, show

if TYPE_CHECKING:  # it imports Lightning
    from src.evaluation.evaluate import Evaluation

CLASS_NOTE = (
    "top k: one of the k most likely categories is right; precision, recall, macro F1: means over categories; AUROC: "
    "of one category against the rest; ECE: calibration error of the probabilities, 15 bins"
)
RELIABILITY_NOTE = (
    "shares of true values within their 90 % interval: of all, in the quarter of the range where they are fewest, in "
    "the quarter with the largest +- (-: all have the same); CRPS: error, in the unit, that also counts a wrong +-"
)

CONFUSION_FILE = "confusion.csv"


def class_table(evaluation: Evaluation) -> tuple[list[Column], list[list[str]]]:
    """Return further figures of all categorical parameters whose heads have probabilities."""
    headings = ("top 2", "top 3", "top 5", "precision", "recall", "macro F1", "AUROC", "ECE")
    columns = [Column("parameter", text=True), *(Column(heading) for heading in headings)]
    cells = []
    for row in evaluation.categories:
        if row.classes is not None:
            found = row.classes
            figures = [found.top_k.get(k) for k in (2, 3, 5)]
            figures += [found.precision, found.recall, found.f1, found.auroc, found.ece]
            cells.append([row.name, *map(_share, figures)])
    return columns, cells


def reliability_table(evaluation: Evaluation) -> tuple[list[Column], list[list[str]]]:
    """Return how far the uncertainties of all parameters that are not categorical hold."""
    columns = [Column("parameter", text=True), Column("unit", text=True, drop=1), Column("in 90 % interval")]
    columns += [Column("worst quarter of the range"), Column("least certain quarter"), Column("CRPS")]
    cells = []
    for row in evaluation.reliability:
        worst = min((share for share in row.by_region if share is not None), default=None)
        shares = (row.coverage, worst, row.by_uncertainty[-1])
        cells.append([row.name, row.unit, *map(_share, shares), significant(row.crps, 3)])
    return columns, cells


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def confusion_csv(evaluation: Evaluation) -> bytes:
    """Return confusion.csv: how often each category was predicted for each true category."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["parameter", "true", "predicted", evaluation.samples])
    for row in evaluation.categories:
        names = row.confusion.categories
        for true, predicted, count in row.confusion.counts:
            writer.writerow([csv_text(row.name), csv_text(names[true]), csv_text(names[predicted]), count])
    return text.getvalue().encode()


def print_reliability(evaluation: Evaluation) -> None:
    """Print how far the uncertainties hold, also of an ensemble, and further figures of categorical parameters."""
    columns, rows = reliability_table(evaluation)
    if rows:
        show(columns, rows, "", RELIABILITY_NOTE, "test_results.md")
    if evaluation.ensemble:
        show(*width_table(evaluation.ensemble), caption=INTERVAL_NOTE, all_in="test_results.md")
    columns, rows = class_table(evaluation)
    if rows:
        show(columns, rows, "", CLASS_NOTE, "test_results.md")
