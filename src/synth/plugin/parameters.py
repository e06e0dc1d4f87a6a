"""What the texts of a plug-in's parameter say of its range: a unit's range, categories, or 0 to 1."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from src.parameters.spec import ParameterSpec

_MOST_CATEGORIES = 16
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
    places = np.linspace(0.0, 1.0, len(texts))
    numbers = [_NUMBER.fullmatch(text) for text in texts]
    distinct = list(dict.fromkeys(texts))
    if 2 <= len(distinct) <= _MOST_CATEGORIES and _are_runs(texts, distinct):
        middles = tuple(float(places[[text == one for text in texts]].mean()) for one in distinct)
        default = int(np.argmin(np.abs(np.array(middles) - row["value"])))
        labels = [one.strip() or f"value {at}" for at, one in enumerate(distinct)]
        labels = labels if len(set(labels)) == len(labels) else [f"{one} ({at})" for at, one in enumerate(labels)]
        return Knob(row["index"], _spec(name, 0, len(labels) - 1, default, values=tuple(labels)), middles)
    unit, low, high, scale = "", 0.0, 1.0, "lin"
    if all(numbers):
        shown = np.array([float(found[1]) for found in numbers if found])
        scale_found = _scale_of(shown, places)
        if scale_found:
            low, high, scale = float(shown[0]), float(shown[-1]), scale_found
            unit = row["unit"] or next(found[2] for found in numbers if found).strip()
    knob = Knob(row["index"], _spec(name, low, high, None, unit=unit, scale=scale))
    default = low + (high - low) * row["value"] if scale == "lin" else low * (high / low) ** row["value"]
    return Knob(row["index"], knob.spec.model_copy(update={"default": float(np.clip(default, low, high))}))


def _are_runs(texts: Sequence[str], distinct: Sequence[str]) -> bool:
    """Return whether equal texts follow each other, as those of a switch do."""
    changes = sum(before != after for before, after in pairwise(texts))
    return changes == len(distinct) - 1


def _scale_of(shown: np.ndarray, places: np.ndarray) -> str | None:
    """Return the scale on which displayed numbers (n,) rise evenly, or None if they do on neither."""
    low, high = shown[0], shown[-1]
    if high <= low:
        return None
    if np.abs((shown - low) / (high - low) - places).max() <= _MOST_DEVIATION:
        return "lin"
    if shown.min() > 0 and np.abs(np.log(shown / low) / np.log(high / low) - places).max() <= _MOST_DEVIATION:
        return "log"
    return None


def _spec(name: str, low: float, high: float, default: float | None, **more: Any) -> ParameterSpec:
    return ParameterSpec(name=name, min=low, max=high, default=default, **more)
