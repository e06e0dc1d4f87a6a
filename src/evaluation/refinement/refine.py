"""Refine an answer on the spectral image, for any voice: the derivatives are differences of rendered images."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from src.data.jacobian import choose_steps
from src.data.source import Source
from src.evaluation.refinement.adam import adam
from src.evaluation.refinement.descend import ANYWHERE, descend
from src.evaluation.refinement.options import Options
from src.evaluation.refinement.problem import Problem, rms
from src.evaluation.refinement.scan import scan, scan_pair, scan_spacing
from src.evaluation.refinement.spread import spread
from src.spectral.decibels import to_decibels

_CHUNK = 128  # sounds that are refined at once
_STEP_POINTS = 8
_USUAL_SPAN = 80.0  # dB of an image
_FRINGES, _WIDER, _SECOND_STEPS = 4, 4.0, 15  # of a second search: the best points of a scan that is so much wider
_JOINT_WIDTHS = (4.0, 1.0, 1.0, 2.0)  # half widths of joint scans, in errors of the start
_JOINT_MINIMA, _FINER = 2, 0.5  # minima of each, from which searches start; the spacing of all but the first
_RANDOM_POINTS = 64  # of which the best starts a search for a noisy sound that the network's answer does not fit
_AS_GOOD, _ELSEWHERE = 0.05, 0.01  # another answer: its cost is so little above, and it is so far away


@dataclass(frozen=True)
class Refined:
    """n refined answers, on the scales of the P parameters in [0, 1]."""

    unit: np.ndarray  # (n, P)
    sd: np.ndarray  # (n, P): nan for parameters that are held and sounds that no parameters fit
    correlation: np.ndarray  # (n, P, P) of the errors
    rms_before: np.ndarray  # (n,): of the difference between the images, in levels
    rms_after: np.ndarray
    iterations: np.ndarray  # (n,): steps that lowered the cost
    ambiguous: np.ndarray  # (n,) bool: from another start, another answer is as good


def difference_steps(source: Source, free: np.ndarray) -> np.ndarray:
    """Return the steps (P,) of finite differences, in [0, 1], for the parameters in the mask `free` (P,); others 0."""
    space = source.synth.space
    points = space.normalize(space.sample(0, 0, _STEP_POINTS))

    def levels(unit: np.ndarray) -> np.ndarray:
        images, scale = source.float_images(space.on_grid(space.denormalize(unit)))
        images[:, 0] = to_decibels(images[:, 0], scale) / _USUAL_SPAN  # so that a level counts, also on an own scale
        return images

    return choose_steps(levels, points, free)


def refine(problem: Problem, options: Options, rounded: bool) -> Refined:
    """Refine the start of each sound, or random ones; of several starts the one with the lowest cost counts.

    `rounded` says that the images are bytes. No answer's cost is above that of its start.
    """
    parts = []
    for at in range(0, len(problem), _CHUNK):
        part = problem.part(slice(at, at + _CHUNK))
        parts.append(_summary(part, *_best_of_starts(part, options), rounded))
    return joined(parts)


def joined(parts: Sequence[Refined]) -> Refined:
    """Return the answers of several groups of sounds as one."""
    return Refined(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Refined)))


def _best_of_starts(problem: Problem, options: Options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return parameters (n, P), steps (n,), and whether another start led to another answer as good (n,)."""
    found, costs, steps = [], [], []
    for at in range(options.starts):
        unit, cost, taken = _search(_from_start(problem, options, at), options)
        found.append(unit)
        costs.append(cost)
        steps.append(taken)
    rows, best = np.arange(len(problem)), np.argmin(costs, axis=0)
    chosen, lowest = np.stack(found)[best, rows], np.min(costs, axis=0)
    as_good = np.stack(costs) < lowest * (1 + _AS_GOOD)
    elsewhere = np.abs(np.stack(found) - chosen).max(axis=2) > _ELSEWHERE
    return chosen, np.stack(steps)[best, rows], (as_good & elsewhere).any(axis=0)


def _from_start(problem: Problem, options: Options, at: int) -> Problem:
    """Return the problem from its own start, or from a random one: near it, or anywhere if `init` is random."""
    random = np.random.Generator(np.random.Philox(key=at))
    free = problem.steps > 0
    if options.init == "random":
        start = np.where(free, random.random(problem.start.shape), problem.start)
        return replace(problem, start=start, sd=np.full_like(problem.sd, ANYWHERE))
    if at == 0:
        return problem
    moved = problem.start + np.where(free, problem.sd * random.standard_normal(problem.sd.shape), 0.0)
    return replace(problem, start=np.clip(moved, 0.0, 1.0))


def _search(problem: Problem, options: Options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the parameters (n, P) that were found from the problem's start, their cost (n,) and the steps (n,)."""
    rows = np.arange(len(problem))
    if options.method == "adam":
        return adam(problem, problem.start, rows, options.iterations)
    spacing = scan_spacing(problem)
    begin = scan(problem, rows, spacing, 1.0, 1)[:, 0]
    unit, cost, taken = descend(problem, begin, rows, spacing, options.iterations)

    def search_again(rows: np.ndarray, starts: np.ndarray, spacing: np.ndarray) -> None:
        """Search the sounds `rows` (m,) from `starts` (m, P), and keep what is better."""
        other, other_cost, steps = descend(problem, starts, rows, spacing, _SECOND_STEPS)
        lower = other_cost < cost[rows]
        better = rows[lower]
        unit[better], cost[better], taken[better] = other[lower], other_cost[lower], steps[lower]

    for number, width in enumerate(_JOINT_WIDTHS):
        coupled = np.flatnonzero(~problem.fits(cost, rows) & ((spacing > 0).sum(axis=1) > 1))
        if not len(coupled):
            break
        centre, finer = (unit, _FINER) if number else (problem.start, 1.0)
        minima = scan_pair(problem, coupled, centre[coupled], finer * spacing[coupled], width, _JOINT_MINIMA)
        for at in range(_JOINT_MINIMA):
            search_again(coupled, minima[:, at], spacing[coupled])
    scanned = np.flatnonzero(~problem.fits(cost, rows) & spacing.any(axis=1))
    if len(scanned):
        fringes = scan(problem, scanned, spacing, _WIDER, _FRINGES)
        for at in range(_FRINGES):
            search_again(scanned, fringes[:, at], spacing[scanned])
    astray = np.flatnonzero(~problem.fits(cost, rows))
    if problem.kind == "magnitude" and len(astray):  # noise may mislead a network to anywhere
        start = _best_of_random(problem, astray)
        search_again(astray, start, np.zeros_like(start))
    first = rms(problem.residual(problem.start, rows))
    worse = cost > first  # a scan compares dB, also where magnitudes are refined
    unit[worse], cost[worse], taken[worse] = problem.start[worse], first[worse], 0
    return unit, cost, taken


def _best_of_random(problem: Problem, rows: np.ndarray) -> np.ndarray:
    """Return the best (m, P) of some points anywhere in the ranges for each of the sounds `rows` (m,)."""
    points = np.random.Generator(np.random.Philox(key=0)).random((_RANDOM_POINTS, problem.start.shape[1]))
    best, lowest = problem.start[rows].copy(), np.full(len(rows), np.inf)
    for point in points:
        unit = np.where(problem.steps > 0, point, problem.start[rows])
        cost = rms(problem.residual(unit, rows))
        lower = cost < lowest
        best[lower], lowest[lower] = unit[lower], cost[lower]
    return best


def _summary(problem: Problem, unit: np.ndarray, taken: np.ndarray, as_good: np.ndarray, rounded: bool) -> Refined:
    rows = np.arange(len(problem))
    sd, correlation = spread(problem, unit, rounded)
    before, after = (rms(problem.levels(answer, rows)) for answer in (problem.start, unit))
    return Refined(unit, sd, correlation, before, after, taken, as_good)
