"""What the labels of a dataset tell without its images: a histogram of each parameter, and their correlations."""

from dataclasses import dataclass

import numpy as np

from src.evaluation.reports.parameter_data import bin_names
from src.parameters.codec import from_class, to_class, to_physical, to_unit
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

PARTS = 16  # of a range: the 256 codes of a byte fill each with 16
_MOST_BARS = 24  # of classes; neighbours of finer ones share a bar
_LOOKED_AT = 4096  # values, to see whether all are classes
_CLOSE = 1e-5  # of a range: float32 rounds less
_CLOSE_BYTES = 1.01 / 510  # bytes round by half of their step


@dataclass(frozen=True)
class Histogram:
    """Counts (K,) of a parameter's values, the bar of each value (n,), and the bars' names, or K + 1 edges."""

    counts: np.ndarray
    bars: np.ndarray
    names: tuple[str, ...] | None = None
    edges: np.ndarray | None = None


def histogram(spec: ParameterSpec, unit: np.ndarray, quantised: bool = False) -> Histogram:
    """Count values, (n,) float32 in [0, 1] on the parameter's scale, which may be rounded to bytes.

    A bar is a class if all values are classes, otherwise a sixteenth of the range on its scale.
    """
    if not _all_classes(spec, unit, _CLOSE_BYTES if quantised else _CLOSE):
        bars = np.minimum((unit * PARTS).astype(np.uint8), PARTS - 1)
        edges = to_physical(spec, np.linspace(0.0, 1.0, PARTS + 1))
        return Histogram(np.bincount(bars, minlength=PARTS), bars, edges=edges)
    classes = spec.num_classes
    count = min(classes, _MOST_BARS)
    bars = (to_class(spec, to_physical(spec, unit.astype(np.float64))) * count // classes).astype(np.uint8)
    return Histogram(np.bincount(bars, minlength=count), bars, names=bin_names(spec, count))


def _all_classes(spec: ParameterSpec, unit: np.ndarray, close: float) -> bool:
    if spec.kind != "continuous":
        return True
    given = unit[:_LOOKED_AT].astype(np.float64)
    nearest = to_unit(spec, from_class(spec, to_class(spec, to_physical(spec, given))))
    return bool((np.abs(nearest - given) < close).all())


def correlations(space: ParameterSpace, unit: np.ndarray) -> np.ndarray:
    """Return the correlations (P, P) of labels (n, P) in [0, 1], each on its scale.

    NaN for constant labels, and for more than two categories, whose numbers have no order.
    """
    found = np.full((len(space), len(space)), np.nan)
    ordered = [at for at, spec in enumerate(space) if spec.kind != "categorical" or spec.num_classes == 2]
    if len(ordered) > 1 and len(unit) > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            found[np.ix_(ordered, ordered)] = np.corrcoef(unit[:, ordered], rowvar=False, dtype=np.float64)
    return found
