"""Check a model's uncertainties: how many true values its intervals contain, on sounds that it was not fitted to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from src.data.dataset import BatchDataset
from src.evaluation.predict import estimate_dataset
from src.models.heads.calibration import BANDS, NORMAL
from src.models.heads.multi_head import Estimates
from src.models.vimh_lit_module import VIMHLitModule
from src.parameters.space import ParameterSpace
from src.utils.table import Column

_ROUNDING = 1e-6  # fraction of the range by which float32 may miss the end of an interval
_HEADINGS = ("in 68 % interval", "in 90 % interval", "+-", "1.645 +-", "rank", "least certain")
CAPTION = (
    "In brackets: 95 % confidence interval of the coverage. Columns +- and 1.645 +-: share of errors within this "
    "limit, nominally 68 and 90 %. rank: rank correlation of |error| and +-; nan: +- is the same for every sound. "
    "least certain: share within the 90 % interval in the quarter of the sounds with the largest +-. *: coverage "
    "outside 55..82 or 87..96 %, or of the least certain quarter below 80 %"
)
_LEAST_CERTAIN = 0.8  # the least intended coverage of the 90 % interval in the least certain quarter


@dataclass(frozen=True)
class Coverage:
    """How often one parameter's true value is within its intervals, as fractions of `count` sounds."""

    name: str
    count: int
    intervals: tuple[float, float]  # within the 68 and the 90 % interval
    bounds: tuple[tuple[float, float], tuple[float, float]]  # 95 % confidence interval of each (Wilson)
    normal: tuple[float, float]  # within 1 and 1.645 uncertainties of the value
    rank_correlation: float  # Spearman's, of |error| and uncertainty; NaN if the uncertainty is constant
    half_width: float  # mean half width of the 90 % interval, in the parameter's unit
    least_certain: float  # within the 90 % interval, in the quarter with the largest uncertainty; NaN if constant

    @property
    def is_within_bounds(self) -> bool:
        """Whether all coverages are as intended, see src.models.heads.calibration.BANDS."""
        shares = zip((*self.intervals, *self.normal), (*BANDS, *BANDS), strict=True)
        return all(low <= share <= high for share, (low, high) in shares) and not self.least_certain < _LEAST_CERTAIN


def measure_coverage(model: VIMHLitModule, dataset: BatchDataset) -> list[Coverage]:
    """Return the coverage of each parameter's intervals on a split that training and validation have not used.

    Categories have no intervals and are left out.
    """
    truth = model.spec.space.denormalize(dataset.targets())
    return coverages(model.spec.space, truth, estimate_dataset(model, dataset))


def coverages(space: ParameterSpace, truth: np.ndarray, estimates: Estimates) -> list[Coverage]:
    """Return each parameter's coverage for true values (n, P) and estimates, arrays (n, P), in physical units."""
    rows = []
    for at, spec in enumerate(space):
        true, (value, uncertainty, *ends) = truth[:, at], (np.asarray(column)[:, at] for column in estimates)
        if np.isnan(ends).all():
            continue
        rounding, count = _ROUNDING * (spec.max - spec.min), len(true)
        within = [(low - rounding <= true) & (true <= high + rounding) for low, high in (ends[:2], ends[2:])]
        inside = [int(hits.sum()) for hits in within]
        doubt = uncertainty / value if spec.scale == "log" else uncertainty
        is_uncertain = doubt >= np.quantile(doubt, 0.75)
        error = np.abs(value - true)
        confidence = [stats.binomtest(hits, count).proportion_ci(0.95, "wilson") for hits in inside]
        rows.append(
            Coverage(
                name=spec.name,
                count=count,
                intervals=(inside[0] / count, inside[1] / count),
                bounds=(_ends(confidence[0]), _ends(confidence[1])),
                normal=(_share_within(error, NORMAL[0] * uncertainty), _share_within(error, NORMAL[1] * uncertainty)),
                rank_correlation=_rank_correlation(error, uncertainty),
                half_width=float(np.mean(0.5 * (ends[3] - ends[2]))),
                least_certain=float("nan") if _constant(doubt) else float(within[1][is_uncertain].mean()),
            )
        )
    return rows


def _ends(bound: Any) -> tuple[float, float]:
    return float(bound.low), float(bound.high)


def _share_within(error: np.ndarray, limit: np.ndarray) -> float:
    return float((error <= limit).mean())


def _rank_correlation(error: np.ndarray, uncertainty: np.ndarray) -> float:
    if _constant(uncertainty) or not np.ptp(error):
        return float("nan")
    return float(stats.spearmanr(error, uncertainty).statistic)


def _constant(uncertainty: np.ndarray) -> bool:
    """Return whether uncertainties have no rank: they differ by rounding at most, or some are NaN."""
    return not np.ptp(uncertainty) > 1e-6 * np.abs(uncertainty).max()


def table_of(groups: Iterable[tuple[str, list[Coverage]]]) -> tuple[list[Column], list[list[str]]]:
    """Return the coverages of several models as one table, with each model's title in a row above its parameters."""
    cells = []
    for title, rows in groups:
        cells.append([title] + [""] * len(_HEADINGS))
        for row in rows:
            shares = [
                f"{100 * share:.1f} ({100 * low:.1f}-{100 * high:.1f})"
                for share, (low, high) in zip(row.intervals, row.bounds, strict=True)
            ]
            normal = [f"{100 * share:.1f}" for share in row.normal]
            name = row.name if row.is_within_bounds else f"{row.name} *"
            cells.append([name, *shares, *normal, f"{row.rank_correlation:.2f}", f"{100 * row.least_certain:.1f}"])
    return [Column("parameter", text=True), *map(Column, _HEADINGS)], cells
