"""One row a parameter: its error beside what needs no network, and beside what no network can reach."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.evaluation.intervals import Interval, interval, proportion_interval, resampled_means, rounded, written_interval
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reliability import inside_90
from src.evaluation.reports.panels import signed_errors
from src.utils.table import Column

CAPTION = (
    "MAE: mean absolute error in the parameter's unit; of a category, the share of wrong predictions. 95 % interval: "
    "how far the MAE may be off because the number of test samples is limited. Mean baseline: the MAE of predicting "
    "the training split's mean, or its most frequent category. Relative MAE: MAE / mean baseline; at 100 %, nothing "
    "was learned. Image limit: the least MAE that the images allow. Between limit and MAE, a better network, longer "
    "training or more data can help. In 90 % interval: the share of true values within the interval that goes with "
    "each prediction; at 90 %, it means what it says."
)


@dataclass(frozen=True)
class HeadFigures:
    """The results of one head; errors are in its unit, of a category shares from 0 to 1."""

    name: str
    unit: str
    error: float
    error_interval: Interval | None
    baseline: float
    neighbour: float | None  # None if no training images are there
    image_limit: float | None  # None if the dataset's description lacks it
    coverage_90: float | None  # share of the true values in the 90 % interval; None for a category

    @property
    def share_of_baseline(self) -> float | None:
        return self.error / self.baseline if self.baseline > 0 else None


def head_figures(predictions: SplitPredictions, neighbour: np.ndarray | None = None) -> list[HeadFigures]:
    """Return the results of each head; `neighbour` (P,) are the errors of the nearest training image's labels."""
    errors = np.abs(signed_errors(predictions))
    draws = resampled_means(errors)
    truth = np.asarray(predictions.truth, np.float64)
    usual = predictions.space.to_class(np.asarray(predictions.baseline, np.float64))
    inside = inside_90(predictions)
    rows = []
    for at, spec in enumerate(predictions.space):
        if spec.kind == "categorical":
            known: Interval | None = proportion_interval(int(errors[:, at].sum()), len(errors))
            baseline = float((predictions.true_level[:, at] != usual[at]).mean())
        else:
            known = interval(draws[:, at], len(errors))
            baseline = float(np.abs(truth[:, at] - predictions.baseline[at]).mean())
        limit = float(predictions.image_limit[at])
        rows.append(
            HeadFigures(
                spec.name,
                spec.unit,
                error=float(errors[:, at].mean()),
                error_interval=known,
                baseline=baseline,
                neighbour=None if neighbour is None else float(neighbour[at]),
                image_limit=limit if np.isfinite(limit) else None,
                coverage_90=float(inside[:, at].mean()) if np.isfinite(predictions.low_90[:, at]).any() else None,
            )
        )
    return rows


def head_table(rows: Sequence[HeadFigures]) -> tuple[list[Column], list[list[str]]]:
    """Return the results as a table; a column that is empty for all heads is left out."""
    headings = ["unit", "MAE", "95 % interval", "mean baseline", "relative MAE", "nearest neighbour"]
    headings += ["image limit", "in 90 % interval"]
    cells = [_cells(row) for row in rows]
    filled = [at for at in range(len(headings)) if any(line[at] for line in cells)]
    columns = [Column("parameter", text=True), *(Column(headings[at], text=at == 0) for at in filled)]
    return columns, [[row.name, *(line[at] for at in filled)] for row, line in zip(rows, cells, strict=True)]


def _cells(row: HeadFigures) -> list[str]:
    return [
        row.unit,
        rounded(row.error, row.error_interval),
        "" if row.error_interval is None else written_interval(row.error, row.error_interval),
        _short(row.baseline),
        _percent(row.share_of_baseline),
        _short(row.neighbour),
        _short(row.image_limit),
        _percent(row.coverage_90),
    ]


def _short(value: float | None) -> str:
    return "" if value is None else rounded(value, None)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
