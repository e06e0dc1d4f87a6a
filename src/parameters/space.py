"""An ordered set of parameters: arrays of their values, and how those are drawn and encoded."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from src.parameters import codec, sampling
from src.parameters.spec import MAX_CLASSES, ParameterSpec
from src.utils.errors import UserError, did_you_mean, shown

BYTE_LEVELS = 255  # a VIMH record stores a value as one byte


class ParameterSpace:
    """An ordered set of parameters; arrays of values are (..., P) over the *varying* parameters."""

    def __init__(self, specs: Iterable[ParameterSpec]):
        self.specs = tuple(specs)
        for name, count in Counter(spec.name for spec in self.specs).items():
            if count > 1:
                raise UserError(f"parameters: {shown(name)} occurs {count:,} times; each name must occur only once")
        self.varying = tuple(spec for spec in self.specs if not spec.is_fixed)
        self.fixed = {spec.name: spec.min for spec in self.specs if spec.is_fixed}
        self.names = tuple(spec.name for spec in self.varying)
        self.num_classes = tuple(spec.num_classes for spec in self.varying)
        categories = sum(spec.num_classes for spec in self.varying if spec.kind == "categorical")
        if categories > MAX_CLASSES:
            raise UserError(
                f"parameters: {categories} categories in all, the maximum is {MAX_CLASSES}; make the steps coarser"
            )
        self.min = np.array([spec.min for spec in self.varying])
        self.max = np.array([spec.max for spec in self.varying])
        self.step = np.array([spec.step for spec in self.varying])
        self._is_linear = all(spec.scale == "lin" for spec in self.varying)
        classes = np.array(self.num_classes)
        self._columns = SimpleNamespace(min=self.min, max=self.max, step=self.step, num_classes=classes, scale="lin")

    @property
    def num_combinations(self) -> int | None:
        """The number of different samples; None if a parameter is continuous, or above 2^62."""
        if any(spec.kind == "continuous" for spec in self.varying):
            return None
        count = math.prod(self.num_classes)
        return count if count <= sampling.MAX_ORDERED else None

    def __len__(self) -> int:
        return len(self.varying)

    def __iter__(self) -> Iterator[ParameterSpec]:
        return iter(self.varying)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParameterSpace) and self.specs == other.specs

    def index(self, name: str) -> int:
        """Return the column of a varying parameter; raise UserError if none has that name."""
        if name not in self.names:
            raise UserError(f"parameter '{name}' does not vary here.{did_you_mean(name, self.names)}")
        return self.names.index(name)

    def normalize(self, values: np.ndarray) -> np.ndarray:
        """Map physical values (..., P) to [0, 1] on each parameter's scale, clipped."""
        return self._encode(codec.to_unit, np.clip(np.asarray(values, np.float64), self.min, self.max))

    def denormalize(self, unit: np.ndarray) -> np.ndarray:
        """Map [0, 1] (..., P), clipped, to physical values on each parameter's scale."""
        return self._encode(codec.to_physical, np.clip(np.asarray(unit, np.float64), 0.0, 1.0))

    def on_grid(self, values: np.ndarray) -> np.ndarray:
        """Return physical values (..., P) with those of ordinal and categorical parameters at their nearest class."""
        continuous = [spec.kind == "continuous" for spec in self.varying]
        return values if all(continuous) else np.where(continuous, values, self.from_class(self.to_class(values)))

    def to_class(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest class (..., P) int64 of physical values."""
        return self._encode(codec.to_class, np.asarray(values, np.float64))

    def from_class(self, index: np.ndarray) -> np.ndarray:
        """Return the physical values (..., P) of classes."""
        return self._encode(codec.from_class, np.asarray(index))

    def _encode(self, encode: Callable[[codec.Range, np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
        """Apply a function of the codec to all columns at once if their scales are linear, otherwise to each."""
        if self._is_linear:
            return encode(self._columns, values)
        return np.stack([encode(spec, values[..., at]) for at, spec in enumerate(self.varying)], axis=-1)

    def to_byte(self, values: np.ndarray) -> np.ndarray:
        """Return the (n, P) uint8 codes that a VIMH record stores: round(255 * normalized)."""
        return np.floor(self.normalize(values) * BYTE_LEVELS + 0.5).astype(np.uint8)

    def from_byte(self, code: np.ndarray) -> np.ndarray:
        """Return the physical values (n, P) of VIMH byte codes."""
        return self.denormalize(np.asarray(code, np.float64) / BYTE_LEVELS)

    def sample(self, seed: int, index: int, count: int | None = None, mode: str = "random") -> np.ndarray:
        """Draw the values of sample `index` -> (P,) float32, or of `count` samples from it on -> (count, P).

        Continuous parameters are uniform on their scale, others are uniform over their classes. If no parameter is
        continuous, `random` draws every combination of classes once before it repeats any. `grid` steps through the
        grid in order. Values are rounded to float32, in which they are stored.
        """
        if mode not in sampling.MODES:
            raise UserError(f"sampling: {mode!r} given; give one of {', '.join(sampling.MODES)}")
        n = 1 if count is None else count
        if mode == "grid":
            values = self.from_class(sampling.grid_classes(self.num_classes, index, n))
        elif mode == "random" and self.num_combinations is not None:
            order = sampling.shuffled(self.num_combinations, seed, index, n)
            values = self.from_class(sampling.combinations(self.num_classes, order))
        else:
            points = sampling.sobol_points if mode == "sobol" else sampling.random_points
            unit = points(len(self), seed, index, n)
            values = self.denormalize(unit)
            on_grid = np.array([spec.kind != "continuous" for spec in self.varying], bool)
            if on_grid.any():
                classes = np.floor(unit * self._columns.num_classes)
                values = np.where(on_grid, self.from_class(classes), values)
        values = values.astype(np.float32)
        return values[0] if count is None else values

    def complete(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return all parameters by name as (n,) float64, including fixed parameters."""
        values = np.asarray(values, np.float64)
        columns = {name: values[:, column] for column, name in enumerate(self.names)}
        return columns | {name: np.full(len(values), value) for name, value in self.fixed.items()}

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return plain dicts, for JSON and checkpoints."""
        return [spec.model_dump() for spec in self.specs]
