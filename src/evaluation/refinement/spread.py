"""How sure a refined answer is: the covariance of a least-squares fit, from the image's derivatives."""

from collections.abc import Sequence

import numpy as np

from src.data.limits import lower_limit, sandwich
from src.evaluation.limit_tables import COLLINEAR
from src.evaluation.refinement.problem import TOO_NOISY, Problem, rms

_ROUNDING = 1 / 12  # the variance of a rounded level, in levels
_TOO_WRONG = 2.0  # levels: with a larger RMS the voice or the answer is wrong, and the fit says nothing
_NEIGHBOURS = 4  # rows whose noise is correlated, by windows and zero-padding
_SHORT = 1.15  # magnitudes of weak cells are biased by noise, so that intervals would be 10 % too small


def spread(problem: Problem, unit: np.ndarray, rounded: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return standard deviations (n, P) on the parameters' scales, and the correlations (n, P, P) of their errors.

    `rounded` says that the images are bytes. A parameter that is held, and a sound whose image is too far from the
    rendered one, have nan.
    """
    rows = np.arange(len(problem))
    residual = problem.residual(unit, rows)
    jacobian = problem.jacobian(unit, rows, residual, problem.residual)[:, problem.free].astype(np.float64)
    if problem.kind == "db":
        information = _information(jacobian, residual, rounded)
    else:
        information = _in_noise(problem, jacobian, residual)
    found, related, _ = lower_limit(information)
    sd = np.full(unit.shape, np.nan)
    sd[:, problem.free] = found * (1.0 if problem.kind == "db" else _SHORT)
    correlation = np.full((*unit.shape, unit.shape[1]), np.nan)
    correlation[:, problem.free[:, None], problem.free] = related
    sd[_is_too_wrong(problem, residual)] = np.nan
    return sd, correlation


def pairs_alike(names: Sequence[str], correlation: np.ndarray) -> tuple[tuple[str, str], ...]:
    """Return the pairs of parameters whose errors correlate (P, P) so much that the sound hardly tells them apart."""
    rows, columns = np.nonzero(np.triu(np.abs(np.nan_to_num(correlation)) > COLLINEAR, 1))
    return tuple((names[int(row)], names[int(column)]) for row, column in zip(rows, columns, strict=True))


def _is_too_wrong(problem: Problem, residual: np.ndarray) -> np.ndarray:
    """Return whether no parameters fit a sound (n,): another voice made it, or noise hides it."""
    if problem.kind == "db":
        return rms(residual) > _TOO_WRONG
    return rms(residual) > TOO_NOISY * rms(problem.given_magnitudes(np.arange(len(problem))))


def _information(jacobian: np.ndarray, residual: np.ndarray, rounded: bool) -> np.ndarray:
    """Return J^T J / s^2 with s^2 from the cells that any parameter changes; others have no residual."""
    active = (jacobian != 0).any(axis=1)
    freedom = np.maximum(active.sum(axis=1) - jacobian.shape[1], 1)
    variance = (active * np.square(residual, dtype=np.float64)).sum(axis=1) / freedom
    variance = np.maximum(variance, _ROUNDING if rounded else 1e-12)
    return jacobian @ jacobian.transpose(0, 2, 1) / variance[:, None, None]


def _in_noise(problem: Problem, jacobian: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Return A B^-1 A, A = J^T J and B the covariance of J^T r, with noise that is correlated over some rows.

    The sandwich with Bartlett's weights: Newey & West, Econometrica 55, 1987.
    """
    shape = problem.images.shape[2:]
    scores = (jacobian * residual[:, None]).reshape(*jacobian.shape[:2], *shape)
    between = np.zeros((len(scores), scores.shape[1], scores.shape[1]))
    for lag in range(min(_NEIGHBOURS + 1, shape[0])):
        one, other = scores[:, :, lag:], scores[:, :, : shape[0] - lag]
        product = np.einsum("nphw,nqhw->npq", one, other, optimize=True)
        between += (1 - lag / (_NEIGHBOURS + 1)) * (product if lag == 0 else product + product.transpose(0, 2, 1))
    return sandwich(jacobian @ jacobian.transpose(0, 2, 1), between)
