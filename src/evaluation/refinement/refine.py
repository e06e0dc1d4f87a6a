"""Refine an answer on the spectral image, for any voice: the derivatives are differences of rendered images."""

from dataclasses import dataclass, fields

import numpy as np

from src.data.jacobian import choose_steps
from src.data.source import Source
from src.evaluation.refinement.descend import descend
from src.evaluation.refinement.problem import Problem, rms
from src.evaluation.refinement.scan import scan, scan_spacing
from src.evaluation.refinement.spread import spread

_CHUNK = 128  # sounds that are refined at once
_STEP_POINTS = 8
_GOOD_LEVELS = 0.5  # an RMS above this is worth a second search
_FRINGES, _SECOND_STEPS = 4, 15  # of a second search: the best points of a scan of twice the width


@dataclass(frozen=True)
class Refined:
    """n refined answers, on the scales of the P parameters in [0, 1]."""

    unit: np.ndarray  # (n, P)
    sd: np.ndarray  # (n, P): nan for parameters that are held and sounds that no parameters fit
    correlation: np.ndarray  # (n, P, P) of the errors
    rms_before: np.ndarray  # (n,): of the difference between the images, in levels
    rms_after: np.ndarray
    iterations: np.ndarray  # (n,): steps that lowered the cost


def difference_steps(source: Source, free: np.ndarray) -> np.ndarray:
    """Return the steps (P,) of finite differences, in [0, 1], for the parameters in the mask `free` (P,); others 0."""
    space = source.synth.space
    points = space.normalize(space.sample(0, 0, _STEP_POINTS))
    return choose_steps(lambda unit: source.float_images(space.denormalize(unit))[0], points, free)


def refine(problem: Problem, iterations: int, rounded: bool) -> Refined:
    """Refine the start of each sound by at most `iterations` steps; a second search may take more.

    `rounded` says that the images are bytes. No answer's cost is above that of its start.
    """
    parts = [
        _refine(problem.part(slice(at, at + _CHUNK)), iterations, rounded) for at in range(0, len(problem), _CHUNK)
    ]
    joined = {each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Refined)}
    return Refined(**joined)


def _refine(problem: Problem, iterations: int, rounded: bool) -> Refined:
    rows = np.arange(len(problem))
    spacing = scan_spacing(problem)
    begin = scan(problem, rows, spacing, 1.0, 1)[:, 0]
    unit, taken = descend(problem, begin, rows, spacing, iterations)
    cost = rms(problem.residual(unit, rows))
    again = np.flatnonzero((rms(problem.levels(unit, rows)) > _GOOD_LEVELS) & spacing.any(axis=1))
    if len(again):
        fringes = scan(problem, again, spacing, 2.0, _FRINGES)
        for at in range(_FRINGES):
            other, steps = descend(problem, fringes[:, at], again, spacing[again], _SECOND_STEPS)
            found = rms(problem.residual(other, again))
            better = again[found < cost[again]]
            unit[better], taken[better] = other[found < cost[again]], steps[found < cost[again]]
            cost[again] = np.minimum(found, cost[again])
    worse = cost > rms(problem.residual(problem.start, rows))  # a scan compares dB, also where magnitudes are refined
    unit[worse], taken[worse] = problem.start[worse], 0
    sd, correlation = spread(problem, unit, rounded)
    before, after = (rms(problem.levels(answer, rows)) for answer in (problem.start, unit))
    return Refined(unit, sd, correlation, before, after, taken)
