"""Standard errors of errors and of their differences, from resampled sounds and resampled runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from src.evaluation.intervals import DRAWS, LEVEL, Interval, resampled_means

FEWEST_SEEDS = 3  # with two, their spread says almost nothing about other seeds
GROUPS = 2000  # the most groups of sounds that `resampled_means` draws


@dataclass(frozen=True)
class Resampled:
    """A method's errors: those of its S runs for n sounds and K parameters, and what resampling makes of their mean."""

    sounds: np.ndarray  # (S, n, K)
    error: np.ndarray  # (K,) the mean of all
    by_sounds: np.ndarray  # (DRAWS, K) means over resampled sounds, in each draw the same sounds for all methods
    by_seeds: np.ndarray | None  # (DRAWS, K) changes of the mean if the runs are resampled; None below three seeds


def resample(errors: Mapping[str, np.ndarray]) -> dict[str, Resampled]:
    """Resample the sounds of all methods, whose errors are (S, n, K), together, and the runs of each method."""
    every_run = np.concatenate(list(errors.values()))
    means = resampled_means(np.concatenate(every_run, axis=1)).reshape(DRAWS, *every_run.shape[::2])
    found, begin = {}, 0
    for number, (name, sounds) in enumerate(errors.items()):
        of_runs = means[:, begin : begin + len(sounds)]
        begin += len(sounds)
        by_seeds = _resample_seeds(sounds, of_runs, number) if len(sounds) >= FEWEST_SEEDS else None
        found[name] = Resampled(sounds, sounds.mean(axis=(0, 1)), of_runs.mean(axis=1), by_seeds)
    return found


def _resample_seeds(sounds: np.ndarray, of_runs: np.ndarray, method: int) -> np.ndarray:
    """Return changes (DRAWS, K) of the mean over a method's S runs if its runs are resampled.

    `sounds` (S, n, K) are the runs' errors, `of_runs` (DRAWS, S, K) their means over resampled sounds. Two corrections
    make the variance that of new runs: resampled runs vary less by the factor (S - 1) / S, and part of what differs
    between the runs is by chance of the sounds, which resampling the sounds already counts.
    Source: Owen, The Pigeonhole Bootstrap, The Annals of Applied Statistics 1(2), 2007.
    """
    count = len(sounds)
    generator = np.random.default_rng([0, method])  # other draws for each method, since its seeds are its own
    drawn = generator.multinomial(count, [1 / count] * count, size=len(of_runs)) / count
    changes = np.einsum("ds,dsk->dk", drawn - 1 / count, of_runs)
    return changes * np.sqrt(count / (count - 1) * _share_of_seeds(sounds))


def _share_of_seeds(sounds: np.ndarray) -> np.ndarray:
    """Return the share (K,) of the variance between the means of runs (S, n, K) that is not by chance of the sounds.

    Source: Searle, Casella & McCulloch, Variance Components, Wiley 1992, section 4.3 (two-way crossed).
    """
    between_runs = sounds.mean(axis=1).var(axis=0, ddof=1)
    own = sounds - sounds.mean(axis=0)  # without what is common to all runs
    by_chance = own.var(axis=1, ddof=1).sum(axis=0) / (len(sounds) - 1) / sounds.shape[1]
    return np.clip(1 - by_chance / np.maximum(between_runs, np.finfo(float).tiny), 0.0, 1.0)


def standard_error(by_sounds: np.ndarray, num_sounds: int, *by_seeds: tuple[np.ndarray, int]) -> np.ndarray:
    """Return standard errors and degrees of freedom, (2, K), of figures from what resampling makes of them.

    `by_sounds` and each of `by_seeds`, which also gives the number of runs, are (DRAWS, K).
    Source: Welch, The Generalization of Student's Problem, Biometrika 34, 1947, for the degrees of freedom.
    """
    groups = min(num_sounds, GROUPS)
    parts = [(by_sounds * math.sqrt(groups / (groups - 1)), groups), *by_seeds]
    total = np.sum([part for part, _ in parts], axis=0).var(axis=0)
    variances = np.array([part.var(axis=0) for part, _ in parts])
    uncertain = sum(variance**2 / (count - 1) for variance, (_, count) in zip(variances, parts, strict=True))
    some = uncertain > 0
    freedom = np.full(total.shape, groups - 1.0)
    freedom[some] = variances.sum(axis=0)[some] ** 2 / uncertain[some]
    return np.stack([np.sqrt(total), freedom])


def difference_error(
    reference: Resampled, method: Resampled, reference_scale: np.ndarray, method_scale: np.ndarray
) -> np.ndarray:
    """Return standard errors and degrees of freedom, (2, K), of method / its scale - reference / its scale (K,)."""
    same = (reference.sounds.mean(axis=0) == method.sounds.mean(axis=0)).all(axis=0)  # exactly 0, without rounding
    by_sounds = np.where(same, 0.0, method.by_sounds / method_scale - reference.by_sounds / reference_scale)
    if reference.by_seeds is None or method.by_seeds is None:
        return standard_error(by_sounds, reference.sounds.shape[1])
    by_seeds = [
        (reference.by_seeds / reference_scale, len(reference.sounds)),
        (method.by_seeds / method_scale, len(method.sounds)),
    ]
    return standard_error(by_sounds, reference.sounds.shape[1], *by_seeds)


def around(centre: float, se: float, freedom: float) -> Interval:
    half = float(stdtrit(freedom, (1 + LEVEL) / 2) * se)
    return float(centre) - half, float(centre) + half


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return p-values for several tests together: below 5 %, at most 5 % of such families hold a false finding.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian J. of Statistics 6(2), 1979.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted
