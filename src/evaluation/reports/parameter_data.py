"""What a page says of a parameter, and in which bins it counts the parameter's values."""

from typing import Any

import numpy as np

from src.evaluation.confusion import category_names
from src.parameters.codec import from_class
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

_VALUE_BINS = 12


def parameter_data(spec: ParameterSpec) -> dict[str, Any]:
    """Return the name, the unit, the range and the scale of a parameter, and the names of its categories or None."""
    named = spec.model_dump(include={"name", "unit", "min", "max", "scale"})
    return named | {"names": category_names(spec) if spec.kind == "categorical" else None}


def bin_names(spec: ParameterSpec, bins: int) -> tuple[str, ...]:
    """Return the names of `bins` bins of neighbouring classes: a class, or the first and the last one."""
    categories = category_names(spec) if spec.kind == "categorical" else None
    first = -(-np.arange(bins + 1) * spec.num_classes // bins)  # the first class of each bin
    names = []
    for low, high in zip(first[:-1], first[1:] - 1, strict=True):
        ends = [categories[at] if categories else f"{from_class(spec, at):.4g}" for at in (low, high)]
        names.append("..".join(dict.fromkeys(ends)))
    return tuple(names)


def value_bins(spec: ParameterSpec, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each value (n,), and the middles (12,) of bins of equal width on the parameter's scale."""
    space = ParameterSpace([spec])
    place = space.normalize(np.asarray(values, np.float64)[:, None])[:, 0]
    bins = np.clip((place * _VALUE_BINS).astype(int), 0, _VALUE_BINS - 1)
    middles = (np.arange(_VALUE_BINS) + 0.5) / _VALUE_BINS
    return bins, space.denormalize(middles[:, None])[:, 0]
