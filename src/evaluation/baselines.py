"""Predictions without a network, from the values of the training split."""

import numpy as np

from src.parameters.space import ParameterSpace


def baseline_values(space: ParameterSpace, known: np.ndarray) -> np.ndarray:
    """Return the mean (P,) of a split's values (n, P), of a category the most frequent one: what a model must beat."""
    nominal = [parameter.kind == "categorical" for parameter in space]
    return np.where(nominal, typical_values(space, known), known.mean(axis=0))


def typical_values(space: ParameterSpace, known: np.ndarray) -> np.ndarray:
    """Return typical values (P,) of a split (n, P): the mean, on the grid if ordinal, the most frequent category."""
    typical = known.mean(axis=0)
    on_grid, classes = space.to_class(typical), space.to_class(known)
    for at, parameter in enumerate(space):
        if parameter.kind == "categorical":
            on_grid[at] = np.bincount(classes[:, at]).argmax()
    continuous = [parameter.kind == "continuous" for parameter in space]
    return np.where(continuous, typical, space.from_class(on_grid))
