"""Derivatives of images by finite differences, against derivatives in closed form."""

import numpy as np
import pytest

from src.data.jacobian import choose_steps, jacobian

POINTS = np.random.default_rng(0).uniform(0.1, 0.9, (12, 3))


def waves(values):
    """Return 2 x 2 images of three parameters, in float32 as a front end computes them."""
    x, y, z = values.T
    images = np.stack([np.sin(3 * x), x * y**2, np.exp(-y), 0 * z], axis=1)
    return images.reshape(-1, 2, 2).astype(np.float32)


def waves_jacobian(values):
    x, y = values[:, :2].T
    by_x = np.stack([3 * np.cos(3 * x), y**2, 0 * x, 0 * x], axis=1)
    by_y = np.stack([0 * x, 2 * x * y, -np.exp(-y), 0 * x], axis=1)
    return np.stack([by_x, by_y, np.zeros_like(by_x)], axis=1)


def test_a_function_with_known_derivatives():
    found = jacobian(waves, POINTS, np.full(3, 1e-3))
    assert found.shape == (12, 3, 4) and found.dtype == np.float64
    # float32 rounds a difference of 2e-3 to 1e-4 of it
    np.testing.assert_allclose(found, waves_jacobian(POINTS), atol=5e-4)


def test_at_the_ends_of_a_range_the_difference_is_one_sided():
    slopes = np.array([[2.0, 0, 1], [0, -3, 1]])
    ends = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    seen = []

    def render(values):
        seen.append(values)
        return values @ slopes

    np.testing.assert_allclose(jacobian(render, ends, np.array([0.1, 0.01])), np.tile(slopes, (3, 1, 1)), rtol=1e-10)
    assert len(seen) == 1 and len(seen[0]) == 2 * 3 * 2 and seen[0].min() == 0 and seen[0].max() == 1


def test_a_parameter_without_a_step_is_held():
    seen = []

    def render(values):
        seen.append(values)
        return waves(values)

    found = jacobian(render, POINTS, np.array([1e-3, 0, 0]))
    assert not found[:, 1:].any() and found[:, 0].any()
    assert len(seen[0]) == 2 * len(POINTS) and set(seen[0][:, 1]) == set(POINTS[:, 1])


def test_steps_resolve_fringes_and_are_not_lost_in_rounding():
    """One parameter has 5,000 fringes in its range, as a pitch has; one adds a change of 1e-3 to a value near 1."""
    count = 5000

    def render(values):
        x, y, _ = values.T
        images = [np.cos(2 * np.pi * (count * x + phase)) for phase in (0, 0.2, 0.4)]
        return np.stack([*images, 1 + 1e-3 * np.exp(y)], axis=1).astype(np.float32)

    steps = choose_steps(render, POINTS, np.array([True, True, False]))
    assert steps[2] == 0 and steps[0] < 0.1 / count < 1e-3 < steps[1]
    found = jacobian(render, POINTS, steps)
    by_x = np.stack([-np.sin(2 * np.pi * (count * POINTS[:, 0] + phase)) for phase in (0, 0.2, 0.4)], axis=1)
    np.testing.assert_allclose(found[:, 0, :3] / (2 * np.pi * count), by_x, atol=0.05)
    np.testing.assert_allclose(found[:, 1, 3], 1e-3 * np.exp(POINTS[:, 1]), rtol=0.05)


def test_a_parameter_without_effect_gets_the_largest_step():
    steps = choose_steps(waves, POINTS, np.ones(3, bool))
    assert steps[2] == 2.0**-7 and (steps > 1e-4).all()


@pytest.mark.parametrize("step", [1e-4, 1e-2])
def test_images_of_any_shape_are_flattened(step):
    found = jacobian(lambda values: values.reshape(-1, 1, 3, 1), POINTS, np.full(3, step))
    np.testing.assert_allclose(found, np.tile(np.eye(3), (12, 1, 1)), atol=1e-9)
