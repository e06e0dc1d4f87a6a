"""A parameter's range, step, unit and scale."""

import math
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_serializer,
    model_validator,
)

from src.utils.errors import shown

DEFAULT_STEPS = 16  # steps of a range without a given step
LARGEST = 3e38  # the largest float32, rounded down
MAX_CLASSES = 65536  # a finer step is a typing error: the head would not fit into memory
MAX_CATEGORY_LETTERS = 60  # so that a name fits a table's column
YAML_WORDS = 'YAML reads on, off, yes and no as true and false: quote them, as in "on"'


def _check_printable(text: str) -> str:
    """Return a text; raise ValueError if it has control characters, which could control a terminal."""
    if not text.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return text


Word = Annotated[str, Field(max_length=200), AfterValidator(_check_printable)]


def _replace_num_classes(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a parameter with a step instead of a number of classes; raise ValueError if it has both."""
    rest = {key: value for key, value in values.items() if key != "num_classes"}
    count = values["num_classes"]
    low: Any = values.get("min")
    high: Any = values.get("max")
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MAX_CLASSES:
        raise ValueError(f"num_classes {shown(count)} given; give a whole number from 2 to {MAX_CLASSES}")
    if values.get("step"):
        raise ValueError("step and num_classes given; give one of them")
    if not (_is_number(low) and _is_number(high)):
        return rest  # pydantic reports it
    return rest | {"step": (high - low) / (count - 1)}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and abs(value) <= LARGEST


class ParameterSpec(BaseModel):
    """One synthesizer parameter; with `min == max` it is fixed and not a label.

    Its classes are evenly spaced on its scale: by `step` on a linear one, and on a log scale by the factor that gives
    as many classes, see src.parameters.codec. `num_classes` can be given instead of `step`. `values` lists the names of
    a categorical parameter's categories in order: category k is the number min + k, and min, max and step can be
    omitted.
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
        if isinstance(values, dict) and "num_classes" in values:
            values = _replace_num_classes(values)
        if isinstance(values, dict) and values.get("step") in (None, 0):
            low, high = values.get("min"), values.get("max")
            if _is_number(low) and _is_number(high):
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

    def describe_range(self, with_step: bool = True, with_unit: bool = True) -> str:
        """Return the possible values: names of categories, one value, or a range with step or `log`, and unit."""
        if self.is_fixed:
            return self.format(self.min)
        if self.values is not None:
            return ", ".join(self.values)
        step = f" by {self.step:g}" if self.scale == "lin" else " log"
        unit = f" {self.unit}" if with_unit and self.unit else ""
        return f"{self.min:g}..{self.max:g}{step if with_step else ''}{unit}"

    @property
    def num_classes(self) -> int:
        """The number of classes: 1 + round((max - min) / step)."""
        return 1 if self.is_fixed else 1 + math.floor((self.max - self.min) / self.step + 0.5)
