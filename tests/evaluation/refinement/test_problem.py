"""Residuals and derivatives of rendered images."""

import numpy as np
import pytest

from src.data.jacobian import jacobian
from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.evaluation.refinement.problem import Problem, rms
from src.evaluation.refinement.refine import difference_steps
from tests import running
from tests.evaluation.refinement.fakes import linear, problem_of


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).random((4, 4))


def moog(points, kind, *overrides):
    source = load_source(parse_recipe(running.recipe("synth=moog_basic", *overrides)))
    images, scale = source.float_images(source.synth.space.denormalize(points))
    return Problem(
        source, images, scale, points, np.full(points.shape, 0.1), difference_steps(source, np.ones(4, bool)), kind
    )


@pytest.mark.parametrize("scaling", ["global", "per_sample"])
def test_levels_are_those_of_the_sound(points, scaling):
    problem = moog(points, "db", f"spectral.image_scaling={scaling}")
    rows = np.array([2, 0])
    assert rms(problem.levels(points[rows], rows)).max() < 1e-3
    found = problem.levels(points[[1, 1]], rows)
    low, high = problem.scale[rows, 0], problem.scale[rows, 1]
    own, own_scale = problem.images[rows, 0], problem.scale[rows]
    other = problem.scale[1, 0] + problem.images[1, 0] * (problem.scale[1, 1] - problem.scale[1, 0])
    decibels = own_scale[:, 0, None, None] + own * (own_scale[:, 1] - own_scale[:, 0])[:, None, None]
    expected = 255 * (other - decibels) / (high - low)[:, None, None]
    np.testing.assert_allclose(found, expected.reshape(2, -1), atol=1e-2)


def test_magnitudes_are_those_of_full_scale_1(points):
    problem = moog(points, "magnitude")
    rows = np.array([0, 3])
    assert rms(problem.magnitudes(points[rows], rows)).max() < 1e-6
    found = problem.magnitudes(points[[1, 1]], rows)
    magnitudes = 10 ** ((-80 + 80 * problem.images[:, 0].astype(np.float64)) / 20)
    expected = (magnitudes[[1, 1]] - magnitudes[rows]).reshape(2, -1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_derivatives_are_those_of_central_differences(points):
    problem = moog(points, "db")
    rows = np.arange(4)
    found = problem.jacobian(points, rows, problem.levels(points, rows), problem.levels)
    space = problem.source.synth.space
    central = jacobian(lambda unit: problem.source.float_images(space.denormalize(unit))[0], points, problem.steps)
    relative = np.linalg.norm(found - 255 * central, axis=2) / np.linalg.norm(255 * central, axis=2)
    assert relative.max() < 0.1


def test_differences_stay_in_the_range_and_held_columns_are_zero():
    matrix, source = linear(3)
    at = np.array([[1.0, 0.0, 0.5]])
    problem = problem_of(source, at, at)
    problem.steps[2] = 0.0
    found = problem.jacobian(at, np.array([0]), problem.levels(at, np.array([0])), problem.levels)
    np.testing.assert_allclose(found[0, :2], 255 * matrix[:2], atol=0.1)
    assert not found[0, 2].any() and list(problem.free) == [0, 1]
