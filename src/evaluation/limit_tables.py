"""Tables of what an image can tell at most: limits, weak regions, and parameters that cannot be told apart."""

from typing import NamedTuple

import numpy as np

from src.data.limits import Limits
from src.evaluation.intervals import significant
from src.parameters.codec import physical_per_unit
from src.parameters.spec import ParameterSpec
from src.utils.table import Column, show

COLLINEAR = 0.95  # errors of two parameters that correlate so strongly hide each other
_QUANTILES = (0.5, 0.9)
_PARTS = 5  # of each range, in which limits are compared
_LEAST_POINTS = 5  # in such a part; the median of fewer says nothing
_WEAK = 2.0  # times the median over all points
_LEAST_SHARE = 0.01  # of the points, to be listed
_LONGEST = 10  # rows of a table of pairs


class WeakRegion(NamedTuple):
    """A part of the range of the parameter `where`, in which the limit of `name` is `ratio` times its median."""

    name: str
    where: str
    low: float  # in the unit of `where`
    high: float
    ratio: float


def weak_regions(limits: Limits) -> list[WeakRegion]:
    """Return, for each parameter, the fifth of a range in which its limit is largest, if it is far above its median."""
    space = limits.space
    parts = np.minimum(np.floor(space.normalize(limits.values) * _PARTS), _PARTS - 1)
    edges = space.denormalize(np.repeat(np.linspace(0, 1, _PARTS + 1)[:, None], len(space), axis=1))
    found = []
    for column in _measured(limits):
        sd, worst = limits.sd[:, column], None
        for other, spec in enumerate(space):
            for part in range(_PARTS):
                inside = parts[:, other] == part
                if spec.kind == "categorical" or inside.sum() < _LEAST_POINTS:
                    continue
                ratio = float(np.median(sd[inside]) / np.median(sd))
                if ratio >= _WEAK and (worst is None or ratio > worst.ratio):
                    low, high = edges[part : part + 2, other]
                    worst = WeakRegion(space.names[column], spec.name, float(low), float(high), ratio)
        if worst is not None:
            found.append(worst)
    return found


def collinear_pairs(limits: Limits) -> list[tuple[str, str, float]]:
    """Return pairs of parameters whose errors correlate, and the share of the points; the most frequent first."""
    names, columns = limits.space.names, _measured(limits)
    shares = (np.abs(limits.correlation) > COLLINEAR).mean(axis=0)
    pairs = [
        (names[one], names[other], float(shares[one, other])) for one in columns for other in columns if one < other
    ]
    return sorted((pair for pair in pairs if pair[2] >= _LEAST_SHARE), key=lambda pair: -pair[2])


def undetermined(limits: Limits) -> tuple[float, list[str]]:
    """Return the share of points with a direction that leaves the image as it is, and the parameters that it moves.

    Those are named that take part at half of these points at least.
    """
    points = limits.undetermined[limits.undetermined.any(axis=1)]
    named = points.mean(axis=0) >= 0.5 if len(points) else np.zeros(len(limits.space), bool)
    return len(points) / len(limits.undetermined), [limits.space.names[column] for column in np.flatnonzero(named)]


def print_limits(limits: Limits, name: str, noise_db: float | None) -> None:
    """Print the limits of a synth's parameters and where they are weak."""
    columns = [Column("parameter", text=True), Column("unit", text=True)]
    columns += [Column(heading) for heading in ("median", "90 %", "median / range", "90 % / range")]
    title = f"{name}: image limit, {_conditions(noise_db)}"
    rows = [_row(limits, column, spec) for column, spec in enumerate(limits.space)]
    caption = (
        f"least standard deviation of an error, at {len(limits.sd):,} random points; 90 %: nine in ten points have a "
        "smaller one; 29 % of the range: the image says nothing"
    )
    held = [spec.name for spec in limits.space if spec.kind != "continuous"]
    if held:
        caption += f"\nnot continuous, and taken as known: {', '.join(held)}"
    share, names = undetermined(limits)
    if share >= _LEAST_SHARE:
        caption += f"\nat {100 * share:.0f} % of the points a change of {_listed(names)} leaves the image as it is"
    show(columns, rows, title, caption)
    regions, pairs = weak_regions(limits), collinear_pairs(limits)
    if regions:
        _print_weak(regions)
    if pairs:
        cells = [[one, other, f"{100 * share:.0f} %"] for one, other, share in pairs[:_LONGEST]]
        columns = [Column("parameter", text=True), Column("and", text=True), Column("points")]
        show(columns, cells, f"Hard to tell apart: the errors correlate by more than {COLLINEAR:g}")


def _print_weak(regions: list[WeakRegion]) -> None:
    columns = [Column("parameter", text=True), Column("where", text=True), Column("is in"), Column("times the median")]
    cells = []
    for region in regions:
        inside = f"{significant(region.low, 3)}..{significant(region.high, 3)}"
        cells.append([region.name, region.where, inside, f"{region.ratio:.1f}"])
    show(columns, cells, "Weak regions: the fifth of a range in which the limit is largest")


def _conditions(noise_db: float | None) -> str:
    return "images of bytes" if noise_db is None else f"white noise at {noise_db:g} dB SNR"


def _row(limits: Limits, column: int, spec: ParameterSpec) -> list[str]:
    if spec.kind != "continuous":
        return [spec.name, spec.unit, "", "", "", ""]
    sd = limits.sd[:, column]
    in_unit = sd * physical_per_unit(spec, limits.values[:, column])
    figures = [significant(float(figure), 2) for figure in np.quantile(in_unit, _QUANTILES)]
    figures += [f"{significant(float(figure), 2)} %" for figure in np.quantile(100 * sd, _QUANTILES)]
    return [spec.name, spec.unit, *figures]


def _measured(limits: Limits) -> list[int]:
    return [column for column, spec in enumerate(limits.space) if spec.kind == "continuous"]


def _listed(names: list[str]) -> str:
    *first, last = names or ["some parameters"]
    return f"{', '.join(first)} and {last} together" if first else last
