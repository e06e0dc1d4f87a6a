"""Which models differ: their errors over several seeds, compared pair by pair."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from scipy.stats import studentized_range, t

from src.evaluation.intervals import Interval

_Z = 1.96  # half of a 95 % interval, in standard deviations


@dataclass(frozen=True)
class Scored:
    """A model's mean error over its seeds, in percent, with its 95 % interval."""

    model: str
    error: float
    interval: Interval
    runs: Sequence[dict]


def score(runs: Mapping[str, Sequence[dict]]) -> tuple[list[Scored], float | None]:
    """Return the models, best first, and the least ratio of two errors that differ; None if it cannot be tested.

    A run is {nmae, nmae_interval, ...}. The test is Tukey's honestly significant difference at 5 % over all pairs, on
    logarithms of errors. It takes their spread between seeds to be the same for all models. It treats the test sounds
    as if each model had its own, although all share them: this makes the ratio slightly too large, never too small.
    Source: Tukey, The Problem of Multiple Comparisons, Princeton 1953.
    """
    if not runs:
        return [], None
    logs = [[math.log(run["nmae"]) for run in of_model] for of_model in runs.values()]
    fewest, freedom = min(map(len, logs)), sum(len(values) - 1 for values in logs)
    squares = sum((value - mean(values)) ** 2 for values in logs for value in values)
    between_seeds = squares / freedom if freedom else 0.0
    between_sounds = mean(_log_sd(run) ** 2 for of_model in runs.values() for run in of_model)
    sd = math.sqrt(between_seeds / fewest + between_sounds)
    factor = math.exp(sd * (t.ppf(0.975, freedom) if freedom else _Z))
    errors = {model: 100 * mean(run["nmae"] for run in of_model) for model, of_model in runs.items()}
    scored = [Scored(model, error, (error / factor, error * factor), runs[model]) for model, error in errors.items()]
    tested = freedom and len(runs) > 1
    least_ratio = math.exp(sd * studentized_range.ppf(0.95, len(runs), freedom)) if tested else None
    return sorted(scored, key=lambda model: model.error), least_ratio


def _log_sd(run: dict) -> float:
    """Return the standard deviation of the logarithm of a run's error over samples of test sounds."""
    low, high = run["nmae_interval"]
    return math.log(high / low) / (2 * _Z)


def no_different(scored: Sequence[Scored], least_ratio: float) -> list[str]:
    """Return, for each model, best first, the ranks of the models that it does not differ from."""
    ranks = []
    for model in scored:
        close = [at for at, other in enumerate(scored, 1) if 1 / least_ratio < model.error / other.error < least_ratio]
        ranks.append(f"{close[0]} to {close[-1]}" if len(close) > 1 else "none")
    return ranks
