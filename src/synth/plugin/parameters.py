"""What the texts of a plug-in's parameter say of its range: a unit's range, categories, or 0 to 1."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.discovered import discovered_spec
from src.utils.errors import UserError, shown

_MOST_CATEGORIES = 16
_MOST_LETTERS = 50  # of a category
_FEWEST_NUMBERS = 5  # different ones of a range; fewer are a switch
_MOST_DEVIATION = 0.02  # of the range, from a line
_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*(\D*)")


@dataclass(frozen=True)
class Knob:
    """A parameter of a plug-in, 0 to 1 there, and what it is here."""

    index: int
    spec: ParameterSpec
    places: tuple[float, ...] = ()  # values in 0..1 of each category

    def to_plugin(self, value: np.ndarray) -> np.ndarray:
        """Return values (V,) of the parameter as the plug-in's, 0 to 1."""
        if self.places:
            return np.asarray(self.places)[np.round(value).astype(int)]
        low, high = self.spec.min, self.spec.max
        if self.spec.scale == "log":
            return np.log(value / low) / np.log(high / low)
        return (value - low) / (high - low)


def describe_knob(row: dict[str, Any], name: str) -> Knob:
    """Return the knob of a parameter from its texts at values evenly spaced in 0..1; `row` is the worker's."""
    texts: Sequence[str] = row["texts"]
    value = float(row["value"])
    if not 0 <= value <= 1:
        raise UserError(f"synth.source: parameter {shown(row['name'])} has the value {value}; 0 to 1 is allowed")
    places = np.linspace(0.0, 1.0, len(texts))
    distinct = list(dict.fromkeys(texts))
    numbers = [_NUMBER.fullmatch(text) for text in texts]
    shown_numbers = np.array([float(found[1]) for found in numbers if found])
    scale = _scale_of(shown_numbers, places, len(distinct)) if all(numbers) else None
    if scale:
        low, high = float(shown_numbers[0]), float(shown_numbers[-1])
        unit = row["unit"] or next(found[2] for found in numbers if found).strip()
        default = low + (high - low) * value if scale == "lin" else low * (high / low) ** value
        fields = {"min": low, "max": high, "scale": scale, "unit": unit, "default": min(max(default, low), high)}
        return Knob(row["index"], discovered_spec(row["name"], name=name, **fields))
    if 2 <= len(distinct) <= _MOST_CATEGORIES and _are_runs(texts, distinct):
        middles = tuple(float(places[[text == one for text in texts]].mean()) for one in distinct)
        default = int(np.argmin(np.abs(np.array(middles) - value)))
        labels = [one.strip()[:_MOST_LETTERS] or f"value {at}" for at, one in enumerate(distinct)]
        if len(set(labels)) < len(labels):
            labels = [f"{label} ({at})" for at, label in enumerate(labels)]
        return Knob(row["index"], discovered_spec(row["name"], name=name, values=labels, default=default), middles)
    return Knob(row["index"], discovered_spec(row["name"], name=name, min=0.0, max=1.0, default=value))


def _are_runs(texts: Sequence[str], distinct: Sequence[str]) -> bool:
    """Return whether equal texts follow each other, as those of a switch do."""
    changes = sum(before != after for before, after in pairwise(texts))
    return changes == len(distinct) - 1


def _scale_of(numbers: np.ndarray, places: np.ndarray, count: int) -> str | None:
    """Return the scale on which `count` different numbers, shown at `places` in 0..1, rise evenly; None for neither.

    Texts are rounded, so that a number may be half of the distance between two different ones away from the line.
    """
    low, high = numbers[0], numbers[-1]
    if high <= low or count < _FEWEST_NUMBERS:
        return None
    allowed = _MOST_DEVIATION + 0.5 / (count - 1)
    if np.abs((numbers - low) / (high - low) - places).max() <= allowed:
        return "lin"
    if numbers.min() > 0 and np.abs(np.log(numbers / low) / np.log(high / low) - places).max() <= allowed:
        return "log"
    return None
