"""Scan a parameter where images do not change linearly with it, such as a pitch, whose images have fringes."""

import numpy as np
from scipy.ndimage import minimum_filter

from src.evaluation.refinement.problem import Problem, rms

_LINEAR = 1.5  # a larger ratio between the linear prediction and the true change of an image needs a scan
_AUDIBLE_LEVELS = 1.0  # smaller changes of an image need none
_HALF_WIDTH = 4.0  # of a scan, in standard deviations of the start's error
_REACHES = 2.5  # between points: a reach is how far the linear prediction is below the true change
_MOST_POINTS = 129
_MOST_PAIRS = 4096  # points of a joint scan
_NARROW = np.linspace(-1.0, 1.0, 9)  # a finer scan, as fractions of its half width


def scan_spacing(problem: Problem) -> np.ndarray:
    """Return the distance (n, P) between the points of each sound's scans, 0 for parameters that need none.

    A parameter needs one if the start's error changes the image by other amounts than the derivative predicts.
    """
    unit, rows = problem.start, np.arange(len(problem))
    residual = problem.levels(unit, rows)
    slopes = rms_of_columns(problem.jacobian(unit, rows, residual, problem.levels))
    spacing = np.zeros_like(unit)
    for column in problem.free:
        sd = problem.sd[:, column]
        moved = unit.copy()
        moved[:, column] += np.where(unit[:, column] + sd > 1.0, -sd, sd)
        change, slope = rms(problem.levels(moved, rows) - residual), slopes[:, column]
        bent = (slope * sd > _LINEAR * change) | (change > _LINEAR * slope * sd)
        reach = change / np.maximum(slope, 1e-9)
        half = _HALF_WIDTH * sd
        distance = np.clip(_REACHES * reach, 2 * half / (_MOST_POINTS - 1), half / 4)
        spacing[:, column] = np.where(bent & (change > _AUDIBLE_LEVELS), distance, 0.0)
    return spacing


def rms_of_columns(jacobian: np.ndarray) -> np.ndarray:
    """Return the root mean square (n, P) of derivatives (n, P, cells)."""
    return np.sqrt(np.square(jacobian, dtype=np.float64).mean(axis=2))


def scan(problem: Problem, rows: np.ndarray, spacing: np.ndarray, width: float, keep: int) -> np.ndarray:
    """Return the `keep` best local minima (m, keep, P) of scans around the start of the sounds `rows` (m,).

    Parameters are scanned one after the other, over `width` times the usual width, by differences in dB: those of
    magnitudes choose the wrong fringe more often. A sound with fewer minima repeats its last one.
    """
    found = np.repeat(problem.start[rows][:, None], keep, axis=1)
    for at, row in enumerate(rows):
        for column in np.flatnonzero(spacing[row]):
            half = width * _HALF_WIDTH * problem.sd[row, column]
            count = int(np.ceil(half / spacing[row, column]))
            offsets = spacing[row, column] * np.arange(-count, count + 1)
            points = np.repeat(found[at, :1], len(offsets), axis=0)
            points[:, column] = np.clip(points[:, column] + offsets, 0.0, 1.0)
            cost = rms(problem.levels(points, np.full(len(points), row)))
            best = _minima(cost)[:keep]
            found[at, :, column] = points[best[np.minimum(np.arange(keep), len(best) - 1)], column]
    return found


def scan_pair(
    problem: Problem, rows: np.ndarray, centre: np.ndarray, spacing: np.ndarray, width: float, keep: int
) -> np.ndarray:
    """Return the `keep` best local minima (m, keep, P) of joint scans of two parameters around `centre` (m, P).

    The two are those with scans whose derivatives are most alike, as those of two frequencies of a sound are: if both
    are wrong, a scan of one alone ends at a combination that has some of the frequencies right.
    """
    found = np.repeat(centre[:, None], keep, axis=1)
    residual = problem.levels(centre, rows)
    slopes = problem.jacobian(centre, rows, residual, problem.levels)
    for at, row in enumerate(rows):
        columns = _most_alike(slopes[at], np.flatnonzero(spacing[at]))
        half = width * problem.sd[row, columns]
        counts = np.ceil(half / spacing[at, columns])
        counts = np.floor(counts * min(1.0, np.sqrt(_MOST_PAIRS / np.prod(2 * counts + 1)))).astype(int)
        axes = [step * np.arange(-count, count + 1) for step, count in zip(spacing[at, columns], counts, strict=True)]
        offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        points = np.repeat(centre[at, None], offsets[..., 0].size, axis=0)
        points[:, columns] = np.clip(points[:, columns] + offsets.reshape(-1, 2), 0.0, 1.0)
        cost = rms(problem.levels(points, np.full(len(points), row)))
        best = _minima_of_plane(cost.reshape(offsets.shape[:2]))[:keep]
        found[at] = points[best[np.minimum(np.arange(keep), len(best) - 1)]]
    return found


def _most_alike(slopes: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the two of `columns` whose derivatives (P, cells) have the largest correlation."""
    unit = slopes[columns] / np.maximum(np.linalg.norm(slopes[columns], axis=1, keepdims=True), 1e-9)
    alike = np.abs(unit @ unit.T)
    alike[np.tril_indices(len(columns))] = -1.0  # each pair once, and no column with itself
    return columns[list(np.unravel_index(alike.argmax(), alike.shape))]


def _minima_of_plane(cost: np.ndarray) -> np.ndarray:
    """Return the flat positions of the local minima of a plane, the lowest first."""
    lowest_around = minimum_filter(cost, size=3, mode="nearest")
    minima = np.flatnonzero(cost.ravel() == lowest_around.ravel())
    return minima[np.argsort(cost.ravel()[minima], kind="stable")] if len(minima) else np.array([cost.argmin()])


def _minima(cost: np.ndarray) -> np.ndarray:
    """Return the positions of the local minima of a curve, the lowest first."""
    walled = np.concatenate([[np.inf], cost, [np.inf]])
    (minima,) = np.nonzero((cost <= walled[:-2]) & (cost < walled[2:]))
    return minima[np.argsort(cost[minima], kind="stable")] if len(minima) else np.array([cost.argmin()])


def scan_nearby(
    problem: Problem, rows: np.ndarray, unit: np.ndarray, residual: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return parameters (m, P) and residuals (m, cells), moved to the best point within `half` (m, P) if it is better.

    Finite differences alone approach the bottom of a fringe slowly.
    """
    unit, residual = unit.copy(), residual.copy()
    for column in problem.free:
        (chosen,) = np.nonzero(half[:, column])
        if not len(chosen):
            continue
        points = np.repeat(unit[chosen, None], len(_NARROW), axis=1)
        points[..., column] = np.clip(points[..., column] + _NARROW * half[chosen, column, None], 0.0, 1.0)
        found = problem.residual(points.reshape(-1, unit.shape[1]), np.repeat(rows[chosen], len(_NARROW)))
        cost = rms(found).reshape(len(chosen), -1)
        best = cost.argmin(axis=1)
        lower = cost[np.arange(len(chosen)), best] < rms(residual[chosen])
        unit[chosen[lower]] = points[lower, best[lower]]
        residual[chosen[lower]] = found.reshape(len(chosen), len(_NARROW), -1)[lower, best[lower]]
    return unit, residual
