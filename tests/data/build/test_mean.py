"""The mean of two images, from the definition of a level."""

import numpy as np
import pytest

from src.data.build.mean import mean_images, require_power
from src.utils.errors import UserError
from tests.data.conftest import tiny_recipe

CHANNELS = ("magnitude", "temporal_envelope")


def config(**changes):
    return tiny_recipe().spectral.model_copy(update={"channels": CHANNELS, **changes})


def levels(seed):
    return np.random.default_rng(seed).integers(0, 256, (3, 2, 8, 6), np.uint8)


def test_powers_are_averaged():
    scale = np.tile(np.float32([-80, 0]), (3, 1))
    found, found_scale = mean_images(config(), (levels(0), levels(1)), (scale, scale))
    power = [10 ** ((-80 + image / 255 * 80) / 10) for image in (levels(0).astype(float), levels(1).astype(float))]
    expected = 255 * (10 * np.log10(sum(power) / 2) + 80) / 80
    assert np.abs(found - expected).max() <= 0.5 + 1e-9  # rounding
    np.testing.assert_array_equal(found_scale, scale)


@pytest.mark.parametrize("scaling", ["global", "per_sample"])
def test_the_mean_of_an_image_and_itself_is_the_image(scaling):
    images = levels(2)
    images[:, 0, 0, :2] = [0, 255]  # as an image with a range of its own has
    scale = np.float32([[-70, -10], [-50, 0], [-80, -3]]) if scaling == "per_sample" else np.tile([-80, 0], (3, 1))
    found, found_scale = mean_images(config(image_scaling=scaling), (images, images), (scale, scale))
    np.testing.assert_array_equal(found, images)
    np.testing.assert_allclose(found_scale, scale, atol=1e-4)


def test_images_with_ranges_of_their_own_are_averaged_in_decibels_of_full_scale():
    images, scales = (levels(3), levels(4)), (np.float32([[-60, -20]] * 3), np.float32([[-80, 0]] * 3))
    found, scale = mean_images(config(image_scaling="per_sample"), images, scales)
    power = [
        10 ** ((low + image[:, 0] / 255 * (high - low)) / 10)
        for image, (low, high) in zip(images, ((-60, -20), (-80, 0)), strict=True)
    ]
    expected = 10 * np.log10(sum(power) / 2)
    np.testing.assert_allclose(scale[:, 0], expected.min(axis=(1, 2)), rtol=1e-5)
    decoded = scale[0, 0] + found[0, 0] / 255 * (scale[0, 1] - scale[0, 0])
    assert np.abs(decoded - expected[0]).max() <= 0.51 * (scale[0, 1] - scale[0, 0]) / 255


def test_channels_without_power_and_unknown_front_ends_are_one_line():
    with pytest.raises(UserError, match="channel group_delay holds no powers"):
        require_power(config(channels=("magnitude", "group_delay")))
    with pytest.raises(UserError, match="not known"):
        require_power(None)
