"""Which category a model answers for which: what a category has in place of an error."""

from dataclasses import dataclass

import numpy as np

from src.synth.parameters import ParameterSpec


@dataclass(frozen=True)
class Confusion:
    """How often each category was answered for each true one."""

    categories: tuple[str, ...]
    counts: tuple[tuple[int, int, int], ...]  # (true category, answered category, sounds), none of 0 sounds

    def matrix(self) -> np.ndarray:
        """Return the sounds (K, K) int64 of each true category, a row each, by answered category."""
        matrix = np.zeros((len(self.categories),) * 2, np.int64)
        for true, answered, count in self.counts:
            matrix[true, answered] = count
        return matrix

    def mistakes(self) -> list[tuple[str, str, int, int]]:
        """Return (true, answered, sounds, sounds of the true category) of each mistake, the most frequent first."""
        totals = dict.fromkeys(range(len(self.categories)), 0)
        for true, _, count in self.counts:
            totals[true] += count
        wrong = sorted((one for one in self.counts if one[0] != one[1]), key=lambda one: -one[2])
        names = self.categories
        return [(names[true], names[answered], count, totals[true]) for true, answered, count in wrong]


def count_answers(spec: ParameterSpec, true: np.ndarray, answered: np.ndarray) -> Confusion:
    """Count the categories (n,) int64 of a parameter that a model answered."""
    answered = np.clip(answered, 0, spec.num_classes - 1)  # a network that diverged answers anything
    pairs, counts = np.unique(np.stack([true, answered], axis=1), axis=0, return_counts=True)
    rows = zip(pairs.tolist(), counts.tolist(), strict=True)
    return Confusion(category_names(spec), tuple((*pair, count) for pair, count in rows))


def category_names(spec: ParameterSpec) -> tuple[str, ...]:
    """Return the names of a parameter's categories: those it was given, else its numbers."""
    given = tuple(getattr(spec, "values", None) or ())
    numbers = (spec.min + spec.step * at for at in range(spec.num_classes))
    return given if len(given) == spec.num_classes else tuple(f"{number:g}" for number in numbers)


def nearest_category(spec: ParameterSpec, values: np.ndarray) -> np.ndarray:
    """Return the categories (n,) int64 nearest to values (n,)."""
    numbers = np.round((np.asarray(values, np.float64) - spec.min) / spec.step)
    return np.clip(np.nan_to_num(numbers), 0, spec.num_classes - 1).astype(np.int64)


def category_name(spec: ParameterSpec, value: float) -> str:
    """Return the name of the category nearest to a value."""
    return category_names(spec)[nearest_category(spec, np.array([value]))[0]]
