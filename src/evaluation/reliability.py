"""How far the uncertainties of a split's predictions hold: coverage by region, CRPS, and the PIT; NumPy alone.

Arrays are those of a `SplitPredictions`: (n, P) in physical units. Categories have no intervals and no figures.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from src.evaluation.predictions_file import SplitPredictions

_PARTS = 4
_PIT_BINS = 10
_ROUNDING = 1e-6  # fraction of the range by which float32 may miss the end of an interval
_CONSTANT = 1e-6  # relative differences of uncertainties by rounding


@dataclass(frozen=True)
class Reliability:
    """The figures of one parameter; shares are fractions of sounds, nominally 0.9, and None where there are none."""

    name: str
    unit: str
    coverage: float  # share of true values within their 90 % interval
    by_region: tuple[float | None, ...]  # the same in each quarter of the parameter's range, from min to max
    by_uncertainty: tuple[
        float | None, ...
    ]  # the same in each quarter of the sounds, from the least uncertainty to the most
    crps: float  # mean, in the parameter's unit: an absolute error that also counts a wrong uncertainty
    pit: tuple[float, ...]  # shares of sounds in ten bins of the PIT, each 0.1 if uncertainties are normal and right


def reliability(predictions: SplitPredictions) -> tuple[Reliability, ...]:
    """Return the figures of each parameter that has intervals: no category, and no head that was never calibrated."""
    covered, continuous_rank = inside_90(predictions), pit(predictions)
    scores, regions, quarters = crps(predictions), region_of_truth(predictions), quarter_of_uncertainty(predictions)
    rows = []
    for at, spec in enumerate(predictions.space):
        if np.isnan(predictions.low_90[:, at]).all():
            continue
        counts, _ = np.histogram(continuous_rank[:, at], bins=_PIT_BINS, range=(0.0, 1.0))
        rows.append(
            Reliability(
                name=spec.name,
                unit=spec.unit,
                coverage=float(covered[:, at].mean()),
                by_region=_shares(covered[:, at], regions[:, at]),
                by_uncertainty=_shares(covered[:, at], quarters[:, at]),
                crps=float(scores[:, at].mean()),
                pit=tuple((counts / len(scores)).tolist()),
            )
        )
    return tuple(rows)


def inside_90(predictions: SplitPredictions) -> np.ndarray:
    """Return which true values are within their 90 % interval, (n, P) bool."""
    slack = _ROUNDING * (predictions.space.max - predictions.space.min)
    above = predictions.low_90 - slack <= predictions.truth
    return above & (predictions.truth <= predictions.high_90 + slack)


def crps(predictions: SplitPredictions) -> np.ndarray:
    """Return the continuous ranked probability scores (n, P) of normal predictions, in physical units.

    Source: Gneiting & Raftery, Strictly Proper Scoring Rules, Prediction, and Estimation, JASA 102(477), 2007, (21).
    """
    sd, z = _standardised(predictions)
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return sd * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / np.sqrt(np.pi))


def pit(predictions: SplitPredictions) -> np.ndarray:
    """Return the probability integral transforms (n, P): the normal distribution function at the true value."""
    return ndtr(_standardised(predictions)[1])


def _standardised(predictions: SplitPredictions) -> tuple[np.ndarray, np.ndarray]:
    """Return uncertainties and errors in units of them, (n, P) float64 each, NaN for categories."""
    categorical = [spec.kind == "categorical" for spec in predictions.space]
    sd = np.where(categorical, np.nan, predictions.sd.astype(np.float64))
    sd = np.maximum(sd, _ROUNDING * (predictions.space.max - predictions.space.min))
    return sd, (predictions.truth - predictions.value.astype(np.float64)) / sd


def region_of_truth(predictions: SplitPredictions) -> np.ndarray:
    """Return the quarter of the parameter's range, on its own scale, that holds each true value, (n, P) int64."""
    unit = predictions.space.normalize(predictions.truth.astype(np.float64))
    return np.clip((unit * _PARTS).astype(np.int64), 0, _PARTS - 1)


def quarter_of_uncertainty(predictions: SplitPredictions) -> np.ndarray:
    """Return the quarter of all sounds, by rising uncertainty, of each sound (n, P) int64; -1 if it is constant.

    Uncertainties are relative to the parameter's scale: those of a logarithmic scale are divided by the value.
    """
    sd = predictions.sd.astype(np.float64)
    is_log = [spec.scale == "log" for spec in predictions.space]
    sd = np.where(is_log, sd / np.where(is_log, predictions.value, 1.0), sd)
    order = sd.argsort(axis=0, kind="stable").argsort(axis=0)
    quarter = order * _PARTS // max(1, len(sd))
    constant = np.ptp(sd, axis=0) <= _CONSTANT * np.abs(sd).max(axis=0)
    return np.where(constant, -1, quarter)


def _shares(hits: np.ndarray, part: np.ndarray) -> tuple[float | None, ...]:
    """Return the share of hits (n,) bool in each part (n,); None for an empty part."""
    counts = np.bincount(part[part >= 0], minlength=_PARTS)
    found = np.bincount(part[(part >= 0) & hits], minlength=_PARTS)
    return tuple(float(hit / count) if count else None for hit, count in zip(found, counts, strict=True))
