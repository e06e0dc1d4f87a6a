"""Covariances of fits against closed forms and against errors over many draws."""

import numpy as np
import pytest

from src.evaluation.refinement.descend import descend
from src.evaluation.refinement.spread import pairs_alike, spread
from tests.evaluation.refinement.fakes import linear, problem_of


def test_the_covariance_is_that_of_linear_least_squares():
    matrix, source = linear(3)
    truth = np.full((1, 3), 0.5)
    problem = problem_of(source, truth, truth, noise=0.004)
    sd, correlation = spread(problem, truth, rounded=False)
    residual = problem.levels(truth, np.array([0])).astype(np.float64)
    jacobian = 255.0 * matrix
    covariance = (residual**2).sum() / (residual.size - 3) * np.linalg.inv(jacobian @ jacobian.T)
    np.testing.assert_allclose(sd[0], np.sqrt(np.diag(covariance)), rtol=0.02)
    expected = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(correlation[0], expected, atol=0.02)


def test_rounded_images_have_at_least_the_variance_of_rounding():
    matrix, source = linear(3)
    truth = np.full((1, 3), 0.5)
    sd, _ = spread(problem_of(source, truth, truth), truth, rounded=True)
    jacobian = 255.0 * matrix
    np.testing.assert_allclose(sd[0], np.sqrt(np.diag(np.linalg.inv(jacobian @ jacobian.T)) / 12), rtol=0.02)


@pytest.mark.parametrize("kind", ["db", "magnitude"])
def test_the_errors_of_many_fits_are_as_large_as_stated(kind):
    _, source = linear(3)
    truth = np.random.default_rng(5).uniform(0.3, 0.7, (200, 3))
    problem = problem_of(source, truth, truth, sd=1e3, kind=kind, noise=0.002)
    found, *_ = descend(problem, truth, np.arange(200), np.zeros(truth.shape), 4)
    sd, _ = spread(problem, found, rounded=False)
    inside = (np.abs(found - truth) < sd).mean()
    assert 0.6 < inside < 0.8  # 0.68; the interval of 600 errors is +-0.04, magnitudes are widened by 15 %


@pytest.mark.parametrize("kind", ["db", "magnitude"])
def test_a_sound_that_no_parameters_fit_has_no_uncertainty(kind):
    _, source = linear(2)
    truth = np.full((2, 2), 0.5)
    problem = problem_of(source, truth, truth, kind=kind)
    problem.images[1] = np.random.default_rng(0).random(problem.images[1].shape)
    sd, _ = spread(problem, truth, rounded=True)
    assert np.isfinite(sd[0]).all() and np.isnan(sd[1]).all()


def test_pairs_that_cannot_be_told_apart_are_named():
    correlation = np.array([[1, 0.2, -0.96], [0.2, 1, np.nan], [-0.96, np.nan, 1]])
    assert pairs_alike(("a", "b", "c"), correlation) == (("a", "c"),)
