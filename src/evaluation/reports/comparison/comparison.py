"""Which of several methods has the smaller error: paired tests on the same test sounds.

A method is one way to train, given as the predictions of one run, or of several runs with different seeds. Each error
is a mean over the test sounds, and with several seeds over the runs too. What another sample of sounds would change is
found by resampling the sounds, the same ones for all methods. With at least three seeds a method, its runs are
resampled as well, which adds what other seeds would change.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from src.evaluation.intervals import LEVEL, Interval, interval
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reports.comparison.paired_tests import (
    Resampled,
    around,
    difference_error,
    holm,
    resample,
    standard_error,
)
from src.utils.errors import UserError, did_you_mean

ALL = "all parameters"
SIGNIFICANT = 1 - LEVEL
_POWER = 0.8  # the usual share of repetitions in which a detectable difference is found


@dataclass(frozen=True)
class Parameter:
    """What is compared; for a category the error is the percentage of wrong predictions.

    The last one, `ALL`, is the mean over parameters of error / range, in percent.
    """

    name: str
    unit: str
    mean_baseline: float  # the error without a network: of the training split's mean, or most frequent category
    image_limit: float | None  # the least error that the images allow; None if unknown, or if the images differ


@dataclass(frozen=True)
class MethodError:
    """A method's error for one parameter, in the parameter's unit."""

    method: str
    parameter: str
    error: float
    interval: Interval | None  # 95 %; it covers other seeds if `seed_sd` is given
    sound_se: float  # standard error: what other test sounds would change
    seed_sd: float | None  # standard deviation between seeds; None below three seeds


@dataclass(frozen=True)
class Difference:
    """Error of `method` minus error of `reference`, in the parameter's unit; negative if `method` is better."""

    reference: str
    method: str
    parameter: str
    difference: float
    interval: Interval
    change: float | None  # difference / error of the reference; None if that is 0
    change_interval: Interval | None  # from the ratio's logarithm; None if either error is 0
    p: float  # of a difference at least as large, if there were none
    adjusted_p: float  # by Holm's method, for all tests of the comparison together
    detectable: float  # the smallest difference that one test at 5 % would find in 80 % of repetitions
    covers_seeds: bool

    @property
    def is_significant(self) -> bool:
        """Whether the difference is told apart from 0, all tests of the comparison taken together."""
        return self.adjusted_p < SIGNIFICANT


@dataclass(frozen=True)
class MethodFacts:
    """What is known of a method besides its errors; None is unknown."""

    runs: tuple[str, ...]  # their directories
    seeds: tuple[int | None, ...]
    num_parameters: int | None
    training_seconds: float | None  # of one run: the mean
    latency_ms: float | None  # of one prediction
    hardware: tuple[str, ...] = ()  # on which they were trained
    commits: tuple[str, ...] = ()  # of the code


@dataclass(frozen=True)
class Comparison:
    """All results of a comparison."""

    dataset: str
    samples: str  # what they are: sounds or images
    num_samples: int
    seeds: Mapping[str, int]  # the number of runs of each method
    parameters: tuple[Parameter, ...]
    errors: tuple[MethodError, ...]
    differences: tuple[Difference, ...]
    baseline: str | None  # the method that all others are compared with; None: each is compared with each

    def error(self, method: str, parameter: str) -> MethodError:
        """Return a method's error for a parameter."""
        return next(row for row in self.errors if (row.method, row.parameter) == (method, parameter))

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs (reference, method) that are compared."""
        return list(dict.fromkeys((row.reference, row.method) for row in self.differences))

    def of_pair(self, reference: str, method: str) -> list[Difference]:
        """Return the differences of a pair, one for each parameter."""
        return [row for row in self.differences if (row.reference, row.method) == (reference, method)]

    def to_dict(self) -> dict[str, Any]:
        """Return all results as plain data."""
        plain = asdict(self)
        for row, difference in zip(plain["differences"], self.differences, strict=True):
            row["significant"] = difference.is_significant
        return plain


def compare(methods: Mapping[str, Sequence[SplitPredictions]], baseline: str | None = None) -> Comparison:
    """Compare methods, given as the predictions of their runs, which have to pair (see `require_paired`).

    All pairs are compared, or only those with `baseline`, a method's name.
    """
    if len(methods) < 2:
        raise UserError(f"{len(methods)} method given; give at least two runs to compare")
    if baseline is not None and baseline not in methods:
        raise UserError(f"baseline: no method '{baseline}'.{did_you_mean(baseline, methods)}")
    first = next(iter(methods.values()))[0]
    if len(first.truth) < 2:
        raise UserError("the test split holds 1 sound; give runs that are tested on more")
    parameters = _parameters(methods)
    every_error = {name: np.stack([sound_errors(run) for run in runs]) for name, runs in methods.items()}
    resampled = resample(every_error)
    errors = [row for name, method in resampled.items() for row in _method_errors(name, method, parameters)]
    if baseline is None:
        pairs = list(combinations(methods, 2))
    else:
        pairs = [(baseline, name) for name in methods if name != baseline]
    differences = []
    for reference, name in pairs:
        differences += _differences((reference, name), resampled[reference], resampled[name], parameters)
    adjusted = holm([row.p for row in differences]).tolist()
    return Comparison(
        dataset=str(first.about.get("dataset", "")),
        samples=str(first.about.get("samples", "sounds")),
        num_samples=len(first.truth),
        seeds={name: len(runs) for name, runs in methods.items()},
        parameters=tuple(parameters),
        errors=tuple(errors),
        differences=tuple(replace(row, adjusted_p=p) for row, p in zip(differences, adjusted, strict=True)),
        baseline=baseline,
    )


def sound_errors(run: SplitPredictions, value: np.ndarray | None = None) -> np.ndarray:
    """Return errors (n, K) float64 of a run, or of other predicted values, for each parameter and `ALL`.

    They are |value - truth| in the parameter's unit, and for a category 100 if it is wrong, otherwise 0. `ALL` is left
    out if there is only one parameter.
    """
    truth = run.truth.astype(np.float64)
    errors = np.abs((run.value if value is None else value) - truth)
    nominal = [spec.kind == "categorical" for spec in run.space]
    wrong = run.level if value is None else run.space.to_class(np.broadcast_to(value, truth.shape))
    errors[:, nominal] = 100.0 * (wrong != run.true_level)[:, nominal]
    if len(run.space) == 1:
        return errors
    widest = np.where(nominal, 100.0, run.space.max - run.space.min)
    return np.column_stack([errors, 100 * (errors / widest).mean(axis=1)])


def _parameters(methods: Mapping[str, Sequence[SplitPredictions]]) -> list[Parameter]:
    runs = [run for of_method in methods.values() for run in of_method]
    first = runs[0]
    baselines = sound_errors(first, first.baseline.astype(np.float64)).mean(axis=0).tolist()
    limits = [float(limit) if math.isfinite(limit) else None for limit in first.image_limit]
    if not all(np.array_equal(run.image_limit, first.image_limit, equal_nan=True) for run in runs):
        limits = [None] * len(first.space)
    found = []
    for spec, baseline, limit in zip(first.space, baselines, limits, strict=False):
        unit = "% wrong" if spec.kind == "categorical" else spec.unit
        found.append(Parameter(spec.name, unit, baseline, limit))
    if len(first.space) > 1:
        found.append(Parameter(ALL, "% of range", baselines[-1], None))
    return found


def _method_errors(name: str, method: Resampled, parameters: Sequence[Parameter]) -> list[MethodError]:
    runs, num_sounds, _ = method.sounds.shape
    sound_se, _ = standard_error(method.by_sounds, num_sounds)
    by_seeds = [] if method.by_seeds is None else [(method.by_seeds, runs)]
    se, freedom = standard_error(method.by_sounds, num_sounds, *by_seeds)
    rows = []
    for at, parameter in enumerate(parameters):
        error, seed_sd = float(method.error[at]), None
        known = interval(method.by_sounds[:, at], num_sounds)  # that of the tables of a single test
        if by_seeds:
            known = around(error, se[at], freedom[at])
            seed_sd = float(method.sounds[:, :, at].mean(axis=1).std(ddof=1))
        rows.append(MethodError(name, parameter.name, error, known, float(sound_se[at]), seed_sd))
    return rows


def _differences(
    names: tuple[str, str], reference: Resampled, method: Resampled, parameters: Sequence[Parameter]
) -> list[Difference]:
    """Return a pair's differences; their p is not adjusted yet."""
    difference = method.error - reference.error
    se, freedom = difference_error(reference, method, np.ones_like(difference), np.ones_like(difference))
    above_zero = (reference.error > 0) & (method.error > 0)
    scales = [np.where(above_zero, one.error, 1.0) for one in (reference, method)]
    log_se, log_freedom = difference_error(reference, method, *scales)  # of the ratio's logarithm, to first order
    detectable = (stdtrit(freedom, 1 - SIGNIFICANT / 2) + stdtrit(freedom, _POWER)) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(difference == 0, 1.0, 2 * stdtr(freedom, -np.abs(difference) / se))
    rows = []
    for at, parameter in enumerate(parameters):
        change = change_interval = None
        if reference.error[at] > 0:
            change = float(difference[at] / reference.error[at])
        if above_zero[at]:
            low, high = around(math.log(scales[1][at] / scales[0][at]), log_se[at], log_freedom[at])
            change_interval = math.expm1(low), math.expm1(high)
        rows.append(
            Difference(
                reference=names[0],
                method=names[1],
                parameter=parameter.name,
                difference=float(difference[at]),
                interval=around(difference[at], se[at], freedom[at]),
                change=change,
                change_interval=change_interval,
                p=float(p[at]),
                adjusted_p=float(p[at]),
                detectable=float(detectable[at]),
                covers_seeds=reference.by_seeds is not None and method.by_seeds is not None,
            )
        )
    return rows
