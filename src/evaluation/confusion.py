"""Confusion counts of categorical parameters: which category a model predicts for which true category."""

from dataclasses import dataclass

import numpy as np

from src.parameters.codec import from_class, to_class
from src.parameters.spec import ParameterSpec


@dataclass(frozen=True)
class Confusion:
    """How often each category was predicted for each true category."""

    categories: tuple[str, ...]
    counts: tuple[tuple[int, int, int], ...]  # (true category, predicted category, number of sounds above 0)

    def matrix(self) -> np.ndarray:
        """Return the numbers of sounds (K, K) int64, a row for each true and a column for each predicted category."""
        matrix = np.zeros((len(self.categories),) * 2, np.int64)
        for true, predicted, count in self.counts:
            matrix[true, predicted] = count
        return matrix

    def mistakes(self) -> list[tuple[str, str, int, int]]:
        """Return (true, predicted, sounds, sounds of the true category) of each mistake, the most frequent first."""
        totals = dict.fromkeys(range(len(self.categories)), 0)
        for true, _, count in self.counts:
            totals[true] += count
        wrong = [(true, predicted, count) for true, predicted, count in self.counts if true != predicted]
        wrong.sort(key=lambda mistake: -mistake[2])
        names = self.categories
        return [(names[true], names[predicted], count, totals[true]) for true, predicted, count in wrong]


def count_pairs(spec: ParameterSpec, true: np.ndarray, predicted: np.ndarray) -> Confusion:
    """Count the pairs of true and predicted categories, (n,) int64 each, of a parameter."""
    predicted = np.clip(predicted, 0, spec.num_classes - 1)  # a network that diverged may predict any number
    pairs, counts = np.unique(np.stack([true, predicted], axis=1), axis=0, return_counts=True)
    rows = zip(pairs.tolist(), counts.tolist(), strict=True)
    return Confusion(category_names(spec), tuple((*pair, count) for pair, count in rows))


def category_names(spec: ParameterSpec) -> tuple[str, ...]:
    """Return the names of a parameter's categories: the given names, otherwise its numbers."""
    return spec.values or tuple(f"{number:g}" for number in from_class(spec, np.arange(spec.num_classes)))


def nearest_category(spec: ParameterSpec, values: np.ndarray) -> np.ndarray:
    """Return the categories (n,) int64 nearest to values (n,)."""
    return to_class(spec, np.nan_to_num(np.asarray(values, np.float64), nan=spec.min))


def category_name(spec: ParameterSpec, value: float) -> str:
    """Return the name of the category nearest to a value."""
    at = nearest_category(spec, np.array([value]))[0]
    return spec.values[at] if spec.values else f"{from_class(spec, at):g}"  # without a list of thousands of names
