"""Mel filters against triangles written out bin by bin on the HTK scale."""

import math

import numpy as np
import pytest

from src.spectral.mel import hz_to_mel, mel_matrix, mel_to_hz
from src.utils.errors import UserError


def mel_triangles(num_bands, n_fft, sample_rate, freq_min, freq_max):
    """HTK's own form, 2595 log10(1 + f / 700), one weight at a time."""
    low, high = (2595 * math.log10(1 + f / 700) for f in (freq_min, freq_max))
    edges = [700 * (10 ** ((low + (high - low) * i / (num_bands + 1)) / 2595) - 1) for i in range(num_bands + 2)]
    weights = np.zeros((num_bands, n_fft // 2))
    for band in range(num_bands):
        left, centre, right = edges[band : band + 3]
        for k in range(1, n_fft // 2 + 1):
            f = k * sample_rate / n_fft
            if left < f <= centre:
                weights[band, k - 1] = (f - left) / (centre - left)
            elif centre < f < right:
                weights[band, k - 1] = (right - f) / (right - centre)
        weights[band] /= sum(weights[band])
    return weights


@pytest.mark.parametrize(
    ("num_bands", "n_fft", "sample_rate", "freq_min", "ratio"),
    [(32, 1024, 8000, 0.0, 1.0), (48, 2048, 44_100, 60.0, 0.8), (8, 128, 8000, 100.0, 0.5), (1, 16, 8000, 0.0, 1.0)],
)
def test_mel_matrix_matches_htk_triangles(num_bands, n_fft, sample_rate, freq_min, ratio):
    weights = mel_matrix(num_bands, n_fft, sample_rate, freq_min, ratio)
    expected = mel_triangles(num_bands, n_fft, sample_rate, freq_min, ratio * sample_rate / 2)
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-12)


def test_every_row_sums_to_1_and_keeps_within_its_limits():
    weights = mel_matrix(40, 2048, 16_000, 300.0, 0.5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    assert np.all(weights >= 0)
    heard = np.arange(1, 1025)[(weights > 1e-9).any(axis=0)] * 16_000 / 2048
    assert heard.min() > 300 and heard.max() < 4000


def test_hz_to_mel_matches_the_htk_book():
    np.testing.assert_allclose(hz_to_mel(1000.0), 1000.0, atol=0.1)
    np.testing.assert_allclose(hz_to_mel([0.0, 440.0, 8000.0]), [0, 549.64, 2840.04], atol=0.1)
    frequency = np.linspace(0, 20_000, 100)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(frequency)), frequency, rtol=1e-9, atol=1e-9)


def test_a_band_without_a_bin_is_an_error_that_says_what_to_change():
    with pytest.raises(UserError) as raised:
        mel_matrix(64, 128, 8000, 0.0, 1.0)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith("spectral: mel band 0 (0..42 Hz) has no bin of n_fft 128; raise spectral.n_fft")


@pytest.mark.parametrize(("n_fft", "freq_min", "ratio"), [(4, 2000.0, 1.0), (8, 1000.0, 0.5), (80, 3900.0, 1.0)])
def test_a_bin_on_the_edge_of_a_band_does_not_count(n_fft, freq_min, ratio):
    with pytest.raises(UserError, match=r"mel band 0 .* has no bin"):
        mel_matrix(1, n_fft, 8000, freq_min, ratio)


def test_freq_min_above_the_highest_frequency_is_an_error():
    for freq_min in (2000.0, 3000.0):
        with pytest.raises(UserError, match=f"^spectral.freq_min: {freq_min:g} Hz is not below .* 2000 Hz"):
            mel_matrix(8, 512, 8000, freq_min, 0.5)
