"""Predictions whose errors a test chooses."""

import numpy as np

from src.evaluation.predictions_file import SplitPredictions
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec


def space(count):
    return ParameterSpace([ParameterSpec(name=f"p_{at}", min=0, max=1, unit="Hz") for at in range(count)])


def predicted(errors, truth=None, parameters=None, levels=None, **about):
    """Return predictions that are off by `errors` (n, P); `levels` are the predicted and the true classes."""
    truth = np.full(errors.shape, 0.5) if truth is None else truth
    zeros, classes = np.zeros_like(truth), np.zeros(truth.shape, int)
    level, true_level = (classes, classes) if levels is None else levels
    return SplitPredictions(
        space(errors.shape[1]) if parameters is None else parameters,
        truth + errors,
        truth,
        *[zeros] * 5,
        level,
        true_level,
        truth.mean(axis=0),
        np.full(errors.shape[1], np.nan),
        {"dataset": "mine_2", "samples": "sounds", "labels": "exact", **about},
    )
