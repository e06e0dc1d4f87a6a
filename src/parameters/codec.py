"""The one encoding of parameter values, for numpy arrays and torch tensors alike.

Physical values map to [0, 1] on the parameter's scale, linear or logarithmic, and to classes, which are evenly spaced
on that scale.
"""

from types import ModuleType
from typing import Any, Protocol, TypeVar

import numpy as np

Values = TypeVar("Values", bound=Any)  # a numpy array or a torch tensor


class Range(Protocol):
    """What is encoded: a ParameterSpec, or all columns of a ParameterSpace at once, with arrays for its numbers."""

    @property
    def min(self) -> Any: ...
    @property
    def max(self) -> Any: ...
    @property
    def step(self) -> Any: ...
    @property
    def num_classes(self) -> Any: ...
    @property
    def scale(self) -> str: ...


def to_unit(spec: Range, values: Values) -> Values:
    """Map physical values, any shape, to [0, 1] on a parameter's scale; values beyond the range map beyond [0, 1]."""
    if spec.scale == "log":
        return _library(values).log(values / spec.min) / np.log(spec.max / spec.min)
    return (values - spec.min) / (spec.max - spec.min)


def to_physical(spec: Range, unit: Values) -> Values:
    """Map [0, 1] on a parameter's scale to its physical values, any shape, differentiable: the inverse of `to_unit`."""
    if spec.scale == "log":
        return spec.min * (spec.max / spec.min) ** unit
    return spec.min + unit * (spec.max - spec.min)


def physical_per_unit(spec: Range, values: Values) -> Values:
    """Return the derivative of `to_physical` at physical values, any shape."""
    if spec.scale == "log":
        return values * np.log(spec.max / spec.min)
    return _library(values).full_like(values, spec.max - spec.min)


def class_position(spec: Range, values: Values) -> Values:
    """Return where physical values lie among the classes: k at class k, k + 1/2 in the middle of k and the next."""
    if spec.scale == "log":
        return to_unit(spec, values) * (spec.num_classes - 1)
    return (values - spec.min) / spec.step


def to_class(spec: Range, values: Values) -> Values:
    """Return the nearest class of physical values, int64."""
    library = _library(values)
    if spec.scale == "log":
        values = library.clip(values, spec.min, spec.max)  # other values may have no logarithm
    index = library.clip(library.floor(class_position(spec, values) + 0.5), 0, spec.num_classes - 1)
    return index.astype(np.int64) if library is np else index.long()


def from_class(spec: Range, index: Values) -> Values:
    """Return the physical values that classes stand for."""
    values = shift_by_classes(spec, spec.min, index)
    return _library(index).clip(values, None, spec.max)  # the last step may be a shorter one


def shift_by_classes(spec: Range, values: Any, classes: Any) -> Any:
    """Return physical values that lie a number of classes above the given ones, without a limit."""
    if spec.scale == "log":
        return values * (spec.max / spec.min) ** (classes / (spec.num_classes - 1))
    return values + classes * spec.step


def _library(values: Any) -> ModuleType:
    if isinstance(values, np.ndarray | np.generic | float | int):
        return np
    import torch  # only here: datasets are made without it

    return torch
