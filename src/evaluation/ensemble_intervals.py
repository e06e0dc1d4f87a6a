"""Are the 90 % intervals of an ensemble narrower than those of its best member, where both cover equally much?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.evaluation.intervals import Interval, interval, significant
from src.models.heads.multi_head import Estimates
from src.parameters.codec import physical_per_unit
from src.parameters.space import ParameterSpace
from src.utils.table import Column

INTERVAL_NOTE = (
    "in 90 % interval: share of true values within the ensemble's; half width: of the ensemble's, in percent of the "
    "range, if all are scaled so that 90 % of the true values of the test split are inside; best member: the one whose "
    "intervals are then the narrowest; ratio: below 1 the ensemble's intervals are narrower"
)
_LEVEL = 0.9
_DRAWS = 400  # of the sounds: an end of the interval of a ratio is then accurate to about 5 % of its width


@dataclass(frozen=True)
class IntervalWidths:
    """The mean half widths of one parameter's intervals at equal coverage, as fractions of its range."""

    name: str
    coverage: float  # of the ensemble's intervals as they are given
    ensemble: float
    best_member: float
    ratio: float
    ratio_interval: Interval | None  # 95 %, over the sounds


def compare_widths(
    space: ParameterSpace, truth: np.ndarray, ensemble: Estimates, members: Sequence[Estimates]
) -> tuple[IntervalWidths, ...]:
    """Return the comparison of each parameter that has intervals, for true values (n, P) and estimates (n, P)."""
    rows, units = [], space.normalize(truth)
    drawn = np.random.default_rng(0).integers(len(truth), size=(_DRAWS, len(truth)))
    for at, spec in enumerate(space):
        if np.isnan(ensemble.low_90[:, at]).all():
            continue
        errors, deviations = [], []
        for one in (ensemble, *members):
            errors.append(np.abs(space.normalize(one.values)[:, at] - units[:, at]))
            deviations.append(one.uncertainties[:, at] / physical_per_unit(spec, one.values[:, at]))
        widths = [_width(*both) for both in zip(errors, deviations, strict=True)]
        best = 1 + int(np.argmin(widths[1:]))
        draws = []
        for sounds in drawn:
            ours, theirs = (_width(errors[one][sounds], deviations[one][sounds]) for one in (0, best))
            draws.append(ours / theirs)
        inside = (ensemble.low_90[:, at] <= truth[:, at]) & (truth[:, at] <= ensemble.high_90[:, at])
        rows.append(
            IntervalWidths(
                name=spec.name,
                coverage=float(inside.mean()),
                ensemble=widths[0],
                best_member=widths[best],
                ratio=widths[0] / widths[best],
                ratio_interval=interval(np.array(draws), len(truth)),
            )
        )
    return tuple(rows)


def _width(error: np.ndarray, deviation: np.ndarray) -> float:
    """Return the mean of the half widths proportional to deviations (n,) that 90 % of the errors (n,) are within."""
    return float(np.quantile(error / deviation, _LEVEL) * deviation.mean())


def width_table(rows: Sequence[IntervalWidths]) -> tuple[list[Column], list[list[str]]]:
    """Return a table with a row for each parameter."""
    columns = [Column("parameter", text=True), Column("in 90 % interval"), Column("half width", drop=1)]
    columns += [Column("best member", drop=1), Column("ratio"), Column("95 % interval")]
    cells = []
    for row in rows:
        ends = [] if row.ratio_interval is None else [significant(end, 3) for end in row.ratio_interval]
        widths = [f"{significant(100 * width, 3)} %" for width in (row.ensemble, row.best_member)]
        share = f"{100 * row.coverage:.1f} %"
        cells.append([row.name, share, *widths, significant(row.ratio, 3), "..".join(ends) or "-"])
    return columns, cells
