"""Mel losses: a gain in logarithms, and librosa-free numpy for the rest."""

import math

import numpy as np
import pytest
import torch

from src.models.losses.sound.mel import MelSpectralLoss
from src.spectral.mel import hz_to_mel, mel_to_hz
from tests.models.losses.sound.test_multi_scale import magnitudes


def test_a_gain_is_its_logarithm():
    audio = 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    found = MelSpectralLoss(16000)(0.5 * audio, audio)
    assert found.item() == pytest.approx(math.log(2), rel=1e-4)


def test_linear_loss_is_the_mean_difference_of_weighted_means_by_interpolation():
    """Each band the mean of magnitudes weighed by a triangle, here from numpy's interpolation."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3000))
    edges = mel_to_hz(np.linspace(hz_to_mel(100.0), hz_to_mel(4000.0), 12))
    bins = np.fft.rfftfreq(512, 1 / 8000)
    triangles = np.stack([np.interp(bins, edges[at : at + 3], [0, 1, 0]) for at in range(10)])
    triangles /= triangles.sum(axis=1, keepdims=True)
    bands = [magnitudes(each, 512, 100) @ triangles.T for each in (x, y)]
    loss = MelSpectralLoss(8000, 512, 100, num_bands=10, freq_min=100.0, log=False)
    found = loss(torch.tensor(x)[None], torch.tensor(y)[None])
    assert found.item() == pytest.approx(np.abs(bands[0] - bands[1]).mean(), rel=1e-5)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100, 48000])
def test_defaults_serve_at_usual_sample_rates(sample_rate):
    assert MelSpectralLoss(sample_rate).filters.shape == (1024, 80)


@pytest.mark.parametrize("wrong", [{"num_bands": 0}, {"num_bands": 513}, {"n_fft": 65536}])
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: {next(iter(wrong.values()))} given; "):
        MelSpectralLoss(44100, **wrong)


def test_a_band_without_a_bin_is_refused():
    with pytest.raises(ValueError, match="has no bin"):
        MelSpectralLoss(44100, n_fft=256)
