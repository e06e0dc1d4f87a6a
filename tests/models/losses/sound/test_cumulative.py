"""Cumulative losses grow with the displacement; transport is the displacement."""

import numpy as np
import pytest
import scipy.stats
import torch

from src.models.losses.sound.cumulative import CumulativeSpectralLoss, SpectralOptimalTransportLoss
from src.models.losses.sound.multi_scale import MultiScaleSpectralLoss
from tests.models.losses.sound.test_multi_scale import magnitudes

RATE = 16000


def sine(frequency, level=1.0):
    return level * torch.sin(2 * torch.pi * frequency / RATE * torch.arange(RATE, dtype=torch.float64))[None]


def click(at):
    audio = torch.zeros(1, 8000, dtype=torch.float64)
    audio[:, at] = 1
    return audio


@pytest.mark.parametrize(("axis", "dimension"), [("time", 0), ("frequency", 1)])
@pytest.mark.parametrize("normalized", [False, True])
def test_cumulative_loss_matches_numpy(axis, dimension, normalized):
    x, y = np.random.default_rng(0).normal(size=(2, 700))
    expected = 0.0
    for n_fft in (128, 64):
        sums = [np.cumsum(magnitudes(each, n_fft, n_fft // 4) ** 2, axis=dimension) for each in (x, y)]
        expected += np.abs(sums[0] - sums[1]).mean() / (n_fft**2 if normalized else 1)
    found = CumulativeSpectralLoss(axis, 128, 2, normalized=normalized)(torch.tensor(x)[None], torch.tensor(y)[None])
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_click_twice_as_late_costs_twice_as_much():
    late, later = (CumulativeSpectralLoss("time", 64, 1)(click(1600 + by), click(1600)) for by in (1600, 3200))
    assert later.item() == pytest.approx(2 * late.item(), rel=0.02)
    plain = [MultiScaleSpectralLoss(64, 1, power=2)(click(1600 + by), click(1600)).item() for by in (1600, 3200)]
    assert plain[0] == pytest.approx(plain[1], rel=1e-6)  # which is why the cumulative one exists


@pytest.mark.parametrize(("one", "other"), [(1000, 1500), (1000, 7000), (3010.7, 440.3)])
def test_transport_between_two_sines_is_their_distance_at_any_level(one, other):
    expected = abs(one - other) / (RATE / 2)
    for levels in [(1, 1), (0.03, 1), (1, 0.001)]:
        found = SpectralOptimalTransportLoss()(sine(one, levels[0]), sine(other, levels[1]))
        assert found.item() == pytest.approx(expected, rel=0.01)


def test_transport_of_noise_matches_scipy():
    x, y = np.random.default_rng(0).normal(size=(2, 300))
    positions = np.linspace(0, 1, 33)
    powers = [magnitudes(each, 64, 16) ** 2 + 1e-8 for each in (x, y)]
    # the last bin's cumulative value is 1 for both: 32 steps of 1 / 32 are what is averaged
    expected = np.mean(
        [scipy.stats.wasserstein_distance(positions, positions, a, b) for a, b in zip(*powers, strict=True)]
    )
    found = SpectralOptimalTransportLoss(64)(torch.tensor(x)[None], torch.tensor(y)[None])
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_an_axis_that_is_none_is_refused():
    with pytest.raises(ValueError, match="axis: 'pitch' given; give one of time, frequency"):
        CumulativeSpectralLoss("pitch")
