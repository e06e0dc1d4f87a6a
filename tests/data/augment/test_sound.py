"""Changes of spectral images, compared with numpy float64 and with what the front end makes of changed sounds."""

import numpy as np
import pytest
import torch

from src.data.augment.random import sample_keys, uniforms
from src.data.augment.sound import (
    FrequencyShift,
    Gain,
    NoiseAtSNR,
    Reverberation,
    Tilt,
    TimeShift,
    from_power,
    to_power,
)
from src.data.source import load_source
from tests.data.conftest import tiny_recipe

SCALE = torch.tensor([[-80.0, 0.0]])


def test_power_and_back_is_the_image():
    images = torch.rand(1, 1, 6, 6)
    images[0, 0, 0] = 0
    power = to_power(images, SCALE)
    wanted = np.where(images > 0, 10.0 ** ((images.numpy().astype(np.float64) - 1) * 8), 0)
    np.testing.assert_allclose(power.numpy(), wanted, rtol=1e-4)
    torch.testing.assert_close(from_power(power, SCALE), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("decibels", [-3.0, 0.0])
def test_a_gain_is_that_of_the_sound(decibels):
    source = load_source(tiny_recipe())
    values = source.first_values().astype(np.float64)[:8]
    sounds = torch.from_numpy(source.sounds(values))
    images, scale = source.front_end(sounds)
    wanted, _ = source.front_end(sounds * 10 ** (decibels / 20))
    uniform = torch.full((8, 1), -decibels / 3.0)
    found = Gain(decibels=3).change(images, uniform, scale)
    assert (wanted > 0).float().mean() > 0.3
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_shifts_are_whole_frames_and_rows_either_way():
    images = torch.zeros(200, 1, 7, 9)
    images[:, :, 3, 4] = 1
    for transform, axis in ((TimeShift(frames=2), 2), (FrequencyShift(rows=2), 1)):
        uniform = uniforms(sample_keys(torch.arange(200), 0, 0, "x"), 1)
        places = transform.change(images, uniform, None)[:, 0].nonzero()
        assert set((places[:, axis] - (4 if axis == 2 else 3)).tolist()) == {-2, -1, 0, 1, 2}
        assert set(places[:, 3 - axis].tolist()) == {3 if axis == 2 else 4}


def test_a_tilt_is_a_line_over_the_rows():
    images = torch.full((1, 1, 5, 2), 0.5)
    for uniform, line in ((1.0, [-8, -6, -4, -2, 0]), (0.25, [0, -1, -2, -3, -4]), (0.5, [0] * 5)):
        found = Tilt(decibels=8).change(images, torch.tensor([[uniform]]), SCALE)
        np.testing.assert_allclose(found[0, 0, :, 0].numpy(), 0.5 + np.array(line) / 80, atol=1e-6)


def test_noise_has_its_ratio_and_adds_to_the_sound():
    images = torch.rand(4, 1, 64, 64) * 0.5 + 0.4
    transform = NoiseAtSNR(low=10, high=10)
    uniform = uniforms(sample_keys(torch.arange(4), 0, 0, "x"), transform.draws((1, 64, 64)))
    before = to_power(images, SCALE).double()
    after = to_power(transform.change(images, uniform, SCALE), SCALE).double()
    np.testing.assert_allclose((after.mean((1, 2, 3)) / before.mean((1, 2, 3))).numpy(), 1.1, rtol=0.02)
    silent = torch.zeros_like(images)
    assert torch.equal(transform.change(silent, uniform, SCALE), silent)


def test_a_room_smears_power_over_the_frames_that_follow():
    images = torch.zeros(1, 1, 2, 12)
    images[0, 0, 1, 3] = 0.9
    found = Reverberation(frames=8, wet_db=0).change(images, torch.tensor([[0.0]]), SCALE)
    decibels = (found[0, 0, 1].double().numpy() - 0.9) * 80
    np.testing.assert_allclose(decibels[3:12], -60 * np.arange(9) / 8, atol=1e-3)
    assert bool((found[0, 0, 0] == 0).all()) and bool((found[0, 0, 1, :3] == 0).all())
