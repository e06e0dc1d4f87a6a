"""The figures behind each panel of a report, from predictions alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reliability import pit
from src.evaluation.reports.parameter_data import bin_names, value_bins
from src.parameters.space import ParameterSpace

MOST_BINS = 24  # of a confusion matrix that a panel can show; finer grids of classes are merged
_MOST_EXAMPLES = 12
_PIT_BINS = 20
_LEVELS = np.linspace(0.1, 0.9, 9)  # of central normal intervals
_SURE_BINS = 10


@dataclass(frozen=True)
class Confusion:
    """Counts (K, K) of samples by true (rows) and predicted bin, the bins' names, and each sample's two bins (n,)."""

    names: tuple[str, ...]
    counts: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


def relative_errors(predictions: SplitPredictions) -> np.ndarray:
    """Return errors (n, P) as fractions of the ranges; of a category 1 if it is wrong, otherwise 0."""
    space, difference = predictions.space, _float(predictions.value) - _float(predictions.truth)
    wrong = predictions.level != predictions.true_level
    return np.where(_nominal(space), wrong, np.abs(difference) / (space.max - space.min))


def reasons_by_row(wanted: Sequence[tuple[int, str]]) -> dict[int, str]:
    """Return rows and why each is shown, for (row, why) in order; at most 12, so that a page stays small."""
    rows: dict[int, str] = {}
    for row, why in wanted[:_MOST_EXAMPLES]:
        rows[row] = f"{rows[row]}, {why}" if row in rows else why
    return rows


def signed_errors(predictions: SplitPredictions) -> np.ndarray:
    """Return predicted - true (n, P) in the parameters' units; of a category 1 if it is wrong, otherwise 0."""
    difference = _float(predictions.value) - _float(predictions.truth)
    return np.where(_nominal(predictions.space), predictions.level != predictions.true_level, difference)


def error_correlations(predictions: SplitPredictions) -> np.ndarray:
    """Return Spearman's rank correlations (P, P) of the heads' signed errors; NaN for a head with constant errors."""
    ranks = stats.rankdata(signed_errors(predictions), axis=0)
    centred = ranks - ranks.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(centred.T @ centred / np.outer(length, length), -1.0, 1.0)


def confusion(predictions: SplitPredictions, at: int) -> Confusion:
    """Count the pairs of true and predicted classes of head `at`; neighbours share a bin if there are too many."""
    spec = predictions.space.varying[at]
    classes, bins = spec.num_classes, min(spec.num_classes, MOST_BINS)
    levels = np.stack([predictions.true_level[:, at], predictions.level[:, at]]).astype(np.int64)
    true, predicted = np.clip(levels, 0, classes - 1) * bins // classes
    counts = np.bincount(true * bins + predicted, minlength=bins * bins).reshape(bins, bins)
    return Confusion(bin_names(spec, bins), counts, true.astype(np.uint8), predicted.astype(np.uint8))


def errors_by_value(predictions: SplitPredictions, at: int) -> list[tuple[float, float, float, int]]:
    """Return (middle of the bin, mean error, mean absolute error, samples) of bins of head `at`'s true values."""
    truth = _float(predictions.truth)[:, at]
    error = _float(predictions.value)[:, at] - truth
    bins, middles = value_bins(predictions.space.varying[at], truth)
    rows = []
    for which, middle in enumerate(middles.tolist()):
        inside = error[bins == which]
        if len(inside):
            rows.append((middle, float(inside.mean()), float(np.abs(inside).mean()), len(inside)))
    return rows


def reliability(predictions: SplitPredictions, at: int) -> list[tuple[float, float, int]]:
    """Return (stated, actual, samples) of head `at`, to compare what its uncertainty states with what is true.

    For a value: the probability of the interval value +- z sd of a normal distribution, and the share of true values
    in it. For a category: the mean probability and the share of correct ones of samples with similar probabilities.
    Empty if the head states no uncertainty.
    """
    sd = _float(predictions.sd)[:, at]
    known = np.isfinite(sd)
    if not known.any():
        return []
    if predictions.space.varying[at].kind == "categorical":
        right = (predictions.level == predictions.true_level)[known, at]
        sure = 1.0 - sd[known]
        bins = np.clip((sure * _SURE_BINS).astype(int), 0, _SURE_BINS - 1)
        groups = [bins == which for which in range(_SURE_BINS)]
        return [(float(sure[one].mean()), float(right[one].mean()), int(one.sum())) for one in groups if one.any()]
    error = np.abs(_float(predictions.value) - _float(predictions.truth))[known, at]
    halves = stats.norm.ppf(0.5 + _LEVELS / 2)
    inside = [float((error <= half * sd[known]).mean()) for half in halves]
    return [(float(level), share, int(known.sum())) for level, share in zip(_LEVELS, inside, strict=True)]


def pit_counts(predictions: SplitPredictions) -> list[list[int]]:
    """Return the histogram of each head's probability integral transform: even if its uncertainties are right.

    It is empty for a category and for a head without uncertainties.
    Source: Gneiting, Balabdaoui and Raftery, Journal of the Royal Statistical Society B 69(2), 2007.
    """
    histograms = []
    for ranks in pit(predictions).T:
        known = ranks[np.isfinite(ranks)]
        counts, _ = np.histogram(known, bins=_PIT_BINS, range=(0.0, 1.0))
        histograms.append(counts.tolist() if len(known) else [])
    return histograms


def _nominal(space: ParameterSpace) -> np.ndarray:
    return np.array([spec.kind == "categorical" for spec in space])


def _float(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float64)
