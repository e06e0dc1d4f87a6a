"""Centroids of sines and of harmonic sounds."""

import math

import pytest
import torch

from src.models.losses.sound.f0_centroid import F0CentroidLoss

RATE = 44100
TIME = torch.arange(RATE // 2, dtype=torch.float64) / RATE


def tone(frequency, level=1.0, partials=1):
    return level * sum(torch.sin(2 * torch.pi * k * frequency * TIME) / k for k in range(1, partials + 1))[None]


@pytest.mark.parametrize("frequency", [220.0, 1234.5, 10000.0])
def test_centroid_of_a_sine_is_its_frequency(frequency):
    (centroid,) = F0CentroidLoss(RATE, 8192, scale="hz").features(tone(frequency), torch.ones(1, 1, 1))
    assert centroid[0, 2:-2].median().item() == pytest.approx(frequency, rel=2e-3)


@pytest.mark.parametrize("partials", [1, 8])
def test_difference_is_in_octaves_or_hz_whatever_the_level(partials):
    high, low = tone(880.0, 0.1, partials), tone(330.0, 1.0, partials)
    assert F0CentroidLoss(RATE, 4096)(high, low).item() == pytest.approx(math.log2(880 / 330), rel=0.02)
    ratio = sum(1 / k for k in range(1, partials + 1)) / sum(1 / k**2 for k in range(1, partials + 1))
    found = F0CentroidLoss(RATE, 4096, scale="hz")(high, low)
    assert found.item() == pytest.approx(ratio * 550, rel=0.02)


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="scale: 'mel' given; give one of log, hz"):
        F0CentroidLoss(RATE, scale="mel")
