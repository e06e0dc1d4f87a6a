"""A parameter's range, step, unit and scale, with all encodings of its values."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_serializer,
    model_validator,
)

from src.parameters import sampling
from src.utils.errors import UserError, did_you_mean, shown

DEFAULT_STEPS = 16  # steps of a range without a given step
LARGEST = 3e38  # the largest float32, rounded down
MAX_CLASSES = 65536  # a finer step is a typing error: the head would not fit into memory
MAX_CATEGORY_LETTERS = 60  # so that a name fits a table's column
BYTE_LEVELS = 255  # a VIMH record stores a value as one byte
YAML_WORDS = 'YAML reads on, off, yes and no as true and false: quote them, as in "on"'


def _check_printable(text: str) -> str:
    """Return a text; raise ValueError if it has control characters, which could control a terminal."""
    if not text.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return text


Word = Annotated[str, Field(max_length=200), AfterValidator(_check_printable)]


class ParameterSpec(BaseModel):
    """One synthesizer parameter; with `min == max` it is fixed and not a label.

    `values` lists the names of a categorical parameter's categories in order: category k is the number min + k, and
    min, max and step can be omitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Word
    min: float
    max: float
    step: float = Field(0.0, ge=0, description="grid of the classes; 0 is (max - min) / 16, for categories 1")
    unit: Word = ""
    scale: Literal["lin", "log"] = "lin"
    kind: Literal["continuous", "ordinal", "categorical"] = "continuous"
    default: float | None = None
    description: str = Field("", max_length=10_000)
    values: tuple[str, ...] | None = Field(None, max_length=MAX_CLASSES, description="names of the categories")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("values"), list | tuple):
            values = {"kind": "categorical", "min": 0.0, **values}
            if isinstance(values["min"], int | float):
                values = {"max": values["min"] + len(values["values"]) - 1, **values}
        if isinstance(values, dict) and values.get("step") in (None, 0):
            low, high = values.get("min"), values.get("max")
            if all(isinstance(end, int | float) and abs(end) <= LARGEST for end in (low, high)):
                counted = values.get("kind") == "categorical" and low != high  # categories are numbered
                values = {**values, "step": 1.0 if counted else max(0.0, (high - low) / DEFAULT_STEPS)}
        return values

    @field_validator("values", mode="before")
    @classmethod
    def _hint_at_quotes(cls, names: Any) -> Any:
        for name in names if isinstance(names, list | tuple) else ():
            if isinstance(name, bool):
                raise ValueError(f"{name} is not text; {YAML_WORDS}")
        return names

    @field_validator("values")
    @classmethod
    def _check_names(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if not 0 < len(name) <= MAX_CATEGORY_LETTERS or not name.isprintable():
                raise ValueError(f"{name[:80]!r} is not a name of 1 to {MAX_CATEGORY_LETTERS} printable characters")
        if names is not None and len(set(names)) < max(1, len(names)):
            raise ValueError("must name every category, without repetition")
        return names

    @model_validator(mode="after")
    def _check_range(self) -> "ParameterSpec":
        if max(abs(self.min), abs(self.max)) > LARGEST:
            raise ValueError(
                f"{self.min:g} .. {self.max:g} is outside the range of float32, in which labels are stored"
            )
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.scale == "log" and self.min < 1 / LARGEST:
            raise ValueError(f"min {self.min:g} must be above 0 on a log scale")
        if not self.is_fixed and not 0 < self.step <= (self.max - self.min) * (1 + 1e-9):  # 0.9 - 0.8 < 0.1
            raise ValueError(f"step {self.step:g} must be above 0 and at most max - min = {self.max - self.min:g}")
        if not self.is_fixed and (self.max - self.min) / self.step > MAX_CLASSES - 1:
            raise ValueError(f"step {self.step:g} cuts the range into more than {MAX_CLASSES} classes")
        if self.values is not None and self.kind != "categorical":
            raise ValueError(f"values are for categorical parameters, but kind is {self.kind}")
        if self.values is not None and (len(self.values) != self.num_classes or self.step not in (0, 1)):
            raise ValueError(
                f"{len(self.values)} values do not fit min {self.min:g}, max {self.max:g} and step {self.step:g}; "
                "leave out min, max and step"
            )
        return self

    @model_serializer(mode="wrap")
    def _leave_out_missing_values(self, serialize: Any) -> dict[str, Any]:
        plain = serialize(self)
        if plain.get("values") is None:
            plain.pop("values", None)  # most parameters have no names, and older programs do not know the key
        return plain

    @property
    def is_fixed(self) -> bool:
        return self.min == self.max

    def fixed_at(self, value: float) -> "ParameterSpec":
        """Return this parameter, fixed at a value of its range."""
        names = None if self.values is None else (self.values[round(value - self.min)],)
        return self.model_copy(update={"min": value, "max": value, "step": 0.0, "values": names})

    def format(self, value: float) -> str:
        """Return a value for users: the name of a category, or a number without its unit."""
        if self.values is None:
            return f"{value:g}"
        return self.values[min(max(round(value - self.min), 0), len(self.values) - 1)]

    def describe_range(self, with_step: bool = True) -> str:
        """Return the possible values: names of categories, one value, or a range with step and unit."""
        if self.is_fixed:
            return self.format(self.min)
        if self.values is not None:
            return ", ".join(self.values)
        step = f" by {self.step:g}" if with_step else ""
        return f"{self.min:g}..{self.max:g}{step} {self.unit}".rstrip()

    @property
    def num_classes(self) -> int:
        """The number of points of the step grid: 1 + round((max - min) / step)."""
        return 1 if self.is_fixed else 1 + math.floor((self.max - self.min) / self.step + 0.5)


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
        self._log = np.array([spec.scale == "log" for spec in self.varying], bool)

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
        """Map physical values (n, P) to [0, 1] on each parameter's scale, clipped."""
        values = np.clip(np.asarray(values, np.float64), self.min, self.max)
        unit = (values - self.min) / (self.max - self.min)
        for column in np.flatnonzero(self._log):
            low, high = self.min[column], self.max[column]
            unit[..., column] = np.log(values[..., column] / low) / math.log(high / low)
        return unit

    def denormalize(self, unit: np.ndarray) -> np.ndarray:
        """Map [0, 1] (n, P), clipped, to physical values on each parameter's scale."""
        unit = np.clip(np.asarray(unit, np.float64), 0.0, 1.0)
        values = self.min + unit * (self.max - self.min)
        for column in np.flatnonzero(self._log):
            low, high = self.min[column], self.max[column]
            values[..., column] = low * (high / low) ** unit[..., column]
        return values

    def to_class(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest class (n, P) int64; class k is the value min + k * step."""
        index = np.floor((np.asarray(values, np.float64) - self.min) / self.step + 0.5)
        return np.clip(index, 0, np.array(self.num_classes) - 1).astype(np.int64)

    def from_class(self, index: np.ndarray) -> np.ndarray:
        """Return the physical values (n, P) of classes, clipped to max."""
        return np.minimum(self.min + np.asarray(index) * self.step, self.max)

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
                classes = np.floor(unit * np.array(self.num_classes))
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

    @classmethod
    def from_dicts(cls, specs: Iterable[Mapping[str, Any]]) -> "ParameterSpace":
        """Build from plain dicts, the inverse of `to_dicts`."""
        return cls(ParameterSpec(**spec) for spec in specs)
