"""Levenberg-Marquardt steps against closed forms and scipy."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from src.evaluation.refinement.adam import adam
from src.evaluation.refinement.descend import descend, solve
from src.evaluation.refinement.problem import rms
from tests.evaluation.refinement.fakes import linear, problem_of

ROWS = np.arange(5)
NO_SCAN = np.zeros((5, 3))


@pytest.fixture
def truth():
    return np.random.default_rng(1).uniform(0.2, 0.8, (5, 3))


def test_a_linear_image_is_solved_to_its_least_squares_solution(truth):
    matrix, source = linear(3)
    problem = problem_of(source, truth, np.full((5, 3), 0.5), sd=1e3, noise=0.01)
    found, *_ = descend(problem, problem.start, ROWS, NO_SCAN, 4)
    cells = problem.images.reshape(5, -1).astype(np.float64)
    expected = 0.5 + np.linalg.lstsq(matrix.T, (cells - 0.5).T, rcond=None)[0].T
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_prior_is_that_of_ridge_regression(truth):
    """A MAP step with variance s^2 is ridge regression; with one step and exact derivatives both agree."""
    matrix, source = linear(3)
    start = np.full((5, 3), 0.5)
    problem = problem_of(source, truth, start, sd=0.02)
    found, *_ = descend(problem, start, ROWS, NO_SCAN, 1)
    residual = 255.0 * (start - truth) @ matrix
    variance = (residual**2).mean(axis=1)
    for row in ROWS:
        jacobian = 255.0 * matrix / np.sqrt(variance[row])
        damped = jacobian @ jacobian.T + np.eye(3) / 0.02**2
        damped += 1e-2 * np.diag(np.diag(damped))
        weights = np.ones(residual.shape[1])
        scale = np.quantile(np.abs(residual[row]), 0.8) / 1.28
        if rms(residual[[row]])[0] > 1.0:  # then the first steps are robust
            weights = 1 / (1 + (residual[row] / scale) ** 2)
            variance[row] = (weights * residual[row] ** 2).mean()
            jacobian = 255.0 * matrix / np.sqrt(variance[row])
            damped = (weights * jacobian) @ jacobian.T + np.eye(3) / 0.02**2
            damped += 1e-2 * np.diag(np.diag(damped))
        step = np.linalg.solve(damped, -(jacobian * weights) @ residual[row] / np.sqrt(variance[row]))
        np.testing.assert_allclose(found[row], start[row] + step, atol=2e-3)


def test_bounds_hold_as_in_scipys_bounded_least_squares():
    matrix, source = linear(3)
    outside = np.array([[1.3, 0.5, -0.2], [0.4, 1.1, 0.6], [0.5, 0.5, 0.5], [-0.5, -0.5, 1.5], [0.9, 0.1, 1.01]])
    problem = problem_of(source, outside, np.full((5, 3), 0.5), sd=1e3)
    found, *_ = descend(problem, problem.start, ROWS, NO_SCAN, 12)
    for row in ROWS:
        target = (outside[row] - 0.5) @ matrix
        expected = lsq_linear(matrix.T, target, bounds=(-0.5, 0.5)).x + 0.5
        np.testing.assert_allclose(found[row], expected, atol=2e-3)


def test_a_step_of_free_columns_is_the_damped_solution():
    random = np.random.default_rng(2)
    half = random.standard_normal((2, 4, 4))
    normal, gradient = half @ half.transpose(0, 2, 1), random.standard_normal((2, 4))
    free = np.array([0, 2, 3])
    step = solve(normal, gradient, np.array([0.1, 1.0]), np.full((2, 4), 0.5), free)
    for row, damping in enumerate([0.1, 1.0]):
        inner = normal[row][np.ix_(free, free)]
        expected = np.linalg.solve(inner + damping * np.diag(np.diag(inner)), -gradient[row, free])
        np.testing.assert_allclose(step[row, free], expected, rtol=1e-6)
    assert not step[:, 1].any()


@pytest.mark.parametrize("method", [lambda *given: descend(*given[:3], NO_SCAN, given[3]), adam])
@pytest.mark.parametrize("iterations", [1, 7])
def test_no_answer_is_worse_than_its_start(truth, method, iterations):
    _, source = linear(3)
    problem = problem_of(source, truth, np.random.default_rng(3).random((5, 3)), noise=0.3)
    found, _, taken = method(problem, problem.start, ROWS, iterations)
    assert (rms(problem.levels(found, ROWS)) <= rms(problem.levels(problem.start, ROWS))).all()
    assert (taken <= iterations).all()


def test_adam_comes_close_to_a_linear_images_parameters(truth):
    _, source = linear(3)
    problem = problem_of(source, truth, truth + 0.05)
    found, *_ = adam(problem, problem.start, ROWS, 60)
    assert np.abs(found - truth).max() < 0.01
