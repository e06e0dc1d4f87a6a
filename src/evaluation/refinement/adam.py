"""Gradient descent towards the image of a sound, for comparison with Levenberg-Marquardt."""

import math

import numpy as np

from src.evaluation.refinement.problem import Problem, rms

_RATE = 0.004  # of a range, for the first step; a cosine takes it to 0
_FADE, _FADE_SQUARES = 0.9, 0.999  # of the averages of gradients and of their squares


def adam(
    problem: Problem, unit: np.ndarray, rows: np.ndarray, iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best parameters (m, P) found from `unit` by Adam on the mean absolute residual, cost and steps (m,).

    The gradients come from finite differences, as those of `descend`. Kingma & Ba, ICLR 2015.
    """
    unit, taken = unit.copy(), np.zeros(len(rows), int)
    average, squares = np.zeros_like(unit), np.zeros_like(unit)
    best, best_cost = unit.copy(), np.full(len(rows), np.inf)
    for iteration in range(iterations + 1):
        residual = problem.residual(unit, rows)
        cost = rms(residual)
        better = cost < best_cost
        best[better], best_cost[better] = unit[better], cost[better]
        taken[better] = iteration
        if iteration == iterations:
            break
        jacobian = problem.jacobian(unit, rows, residual, problem.residual)
        gradient = (jacobian @ np.sign(residual)[:, :, None])[..., 0] / residual.shape[1]
        average = _FADE * average + (1 - _FADE) * gradient
        squares = _FADE_SQUARES * squares + (1 - _FADE_SQUARES) * gradient**2
        corrected = average / (1 - _FADE ** (iteration + 1))
        size = np.sqrt(squares / (1 - _FADE_SQUARES ** (iteration + 1))) + 1e-12
        rate = _RATE * 0.5 * (1 + math.cos(math.pi * iteration / iterations))
        unit = np.clip(unit - rate * corrected / size, 0.0, 1.0)
    return best, best_cost, taken
