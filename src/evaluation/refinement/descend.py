"""Levenberg-Marquardt steps towards the image of a sound, with the start's own error as prior.

Each step minimises |r|^2 / s^2 + |(u - start) / sd|^2 over the parameters u. The mean square s^2 of the residual r is
estimated again before each step, so that the start counts while the image is wrong, and no longer once it fits.
Marquardt (1963); Nocedal & Wright, "Numerical Optimization", chapter 10; robust weights: Holland & Welsch (1977).
"""

import numpy as np

from src.evaluation.refinement.problem import Problem, rms
from src.evaluation.refinement.scan import scan_nearby

_DAMPING, _LESS, _MORE = 1e-2, 0.2, 5.0  # the first damping, and its factors after a success and a failure
_TRIALS = 4  # of a step, each with more damping, before it is given up
_ROBUST_STEPS, _ROBUST_LEVELS = 3, 1.0  # the first steps of a sound whose image is so wrong weigh outliers less
_NARROW_STEPS = 5  # steps that are followed by a scan nearby, each a quarter as wide as the one before
_FIRST_NARROW = 0.7  # half its width, in points of the scan
ANYWHERE = 0.3  # sd of a start that may be anywhere; and with magnitudes, as noise misleads networks beyond their sd
_SETTLED = 1e-6  # a smaller relative decrease of the cost ends the search


def descend(
    problem: Problem, unit: np.ndarray, rows: np.ndarray, spacing: np.ndarray, iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best parameters (m, P) that were found from `unit` (m, P) for the sounds `rows`, cost and steps (m,).

    `spacing` (m, P) is that of the scans, 0 where none was needed: there the prior holds. A sound with scans takes at
    least as many steps as its scans take to narrow. The cost is the RMS of the residual, which never ends above that of
    `unit`; the steps are those that lowered it.
    """
    unit, residual = unit.copy(), problem.residual(unit, rows)
    best, best_cost = unit.copy(), rms(residual)
    wrong = (best_cost > _ROBUST_LEVELS) & (problem.kind == "db")
    damping, taken = np.full(len(rows), _DAMPING), np.zeros(len(rows), int)
    sd = problem.sd[rows] if problem.kind == "db" else np.full(unit.shape, ANYWHERE)
    precision = np.where(spacing > 0, 0.0, sd**-2.0)
    steps = np.where(spacing.any(axis=1), max(iterations, _NARROW_STEPS), iterations)
    open_ = np.arange(len(rows))
    for iteration in range(steps.max(initial=0)):
        robust = wrong[open_] & (iteration < _ROBUST_STEPS)
        before = rms(residual[open_])
        moved = _step(problem, rows[open_], unit[open_], residual[open_], damping[open_], precision[open_], robust)
        unit[open_], residual[open_], damping[open_] = moved
        if iteration < _NARROW_STEPS and spacing[open_].any():
            half = _FIRST_NARROW * spacing[open_] / 4.0**iteration
            unit[open_], residual[open_] = scan_nearby(problem, rows[open_], unit[open_], residual[open_], half)
        cost = rms(residual[open_])
        taken[open_] += cost < before
        better = open_[cost < best_cost[open_]]
        best[better], best_cost[better] = unit[better], rms(residual[better])
        open_ = open_[(robust | (cost < before * (1.0 - _SETTLED))) & (iteration + 1 < steps[open_])]
        if not len(open_):
            break
    return best, best_cost, taken


def _step(
    problem: Problem,
    rows: np.ndarray,
    unit: np.ndarray,
    residual: np.ndarray,
    damping: np.ndarray,
    precision: np.ndarray,
    robust: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return parameters, residuals and damping after one step, or after none if all its trials raise the objective."""
    jacobian = problem.jacobian(unit, rows, residual, problem.residual)
    weights = np.where(robust[:, None], _cauchy_weights(residual), np.float32(1.0))
    active = np.maximum((jacobian != 0).any(axis=1).sum(axis=1), 1)  # a cell at the floor has no residual
    variance = np.maximum(_squares(weights, residual) / active, 1e-30)
    weighted = jacobian * (weights / np.sqrt(variance)[:, None])[:, None]
    scaled = jacobian / np.sqrt(variance)[:, None, None]
    offset = unit - problem.start[rows]
    normal = (weighted @ scaled.transpose(0, 2, 1)).astype(np.float64)
    normal += precision[:, None] * np.eye(unit.shape[1])
    gradient = (weighted @ residual[:, :, None])[..., 0] / np.sqrt(variance)[:, None] + precision * offset
    objective = _squares(weights, residual) / variance + (precision * offset**2).sum(axis=1)

    unit, residual, damping = unit.copy(), residual.copy(), damping.copy()
    tried = np.arange(len(rows))
    for _ in range(_TRIALS):
        change = solve(normal[tried], gradient[tried], damping[tried], unit[tried], problem.free)
        moved = np.clip(unit[tried] + change, 0.0, 1.0)
        found = problem.residual(moved, rows[tried])
        prior = (precision[tried] * (moved - problem.start[rows[tried]]) ** 2).sum(axis=1)
        lower = _squares(weights[tried], found) / variance[tried] + prior < objective[tried]
        unit[tried[lower]], residual[tried[lower]] = moved[lower], found[lower]
        damping[tried] *= np.where(lower, _LESS, _MORE)
        tried = tried[~lower]
        if not len(tried):
            break
    return unit, residual, damping


def _squares(weights: np.ndarray, residual: np.ndarray) -> np.ndarray:
    return (weights * np.square(residual, dtype=np.float64)).sum(axis=1)


def _cauchy_weights(residual: np.ndarray) -> np.ndarray:
    """Return weights (m, cells) that fall with the square of the residual, on a scale from its 80 % quantile."""
    scale = np.quantile(np.abs(residual), 0.8, axis=1, keepdims=True) / 1.28  # of a Gaussian, one sd
    return 1.0 / (1.0 + (residual / np.maximum(scale, 1e-12)).astype(np.float32) ** 2)


def solve(
    normal: np.ndarray, gradient: np.ndarray, damping: np.ndarray, unit: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """Return the damped Gauss-Newton step (m, P) of the columns `free`.

    A parameter at an end of its range whose step points outwards is held, and the others are solved again.
    """
    width = gradient.shape[1]
    held = np.ones(gradient.shape, bool)
    held[:, free] = False
    diagonal = np.einsum("mpp->mp", normal)
    least = 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300  # a parameter without effect has no gradient either
    damped = normal + (damping[:, None] * diagonal + least)[:, None] * np.eye(width)
    for _ in range(width):
        matrix = np.where(held[:, :, None] | held[:, None, :], 0.0, damped) + held[:, None] * np.eye(width)
        step = np.linalg.solve(matrix, np.where(held, 0.0, -gradient)[..., None])[..., 0]
        outwards = ~held & (((unit <= 0.0) & (step < 0.0)) | ((unit >= 1.0) & (step > 0.0)))
        if not outwards.any():
            break
        held |= outwards
    return np.where(held, 0.0, step)
