"""Metrics on spectra against closed forms and scipy."""

import numpy as np
import pytest
import scipy.signal
import torch

from src.evaluation.metrics.mel import magnitudes
from src.evaluation.metrics.spectra import lsd, multi_resolution_stft, spectral_convergence
from tests.evaluation.metrics.sounds import noise


def test_the_log_spectral_distance_is_scipys():
    """Mirrored ends, 46 ms, a quarter frame; noise is above the limit of -80 dB everywhere."""
    own, other = noise(1, 8096), noise(1, 8096, seed=1)
    levels = []
    for audio in (own, other):
        _, _, spectrum = scipy.signal.stft(audio[0].double().numpy(), nperseg=368, noverlap=276, boundary="even")
        levels.append(20 * np.log10(np.abs(spectrum)))
    frames = np.sqrt(np.mean((levels[0] - levels[1]) ** 2, axis=0))
    assert lsd(own, other, 8000).item() == pytest.approx(frames.mean(), rel=1e-3)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_a_gain_is_a_constant_difference_in_every_bin(gain):
    audio = noise(2, 8000)
    assert lsd(gain * audio, audio, 8000).tolist() == pytest.approx([20 * np.log10(2)] * 2, rel=1e-3)
    convergence = abs(gain - 1)
    assert spectral_convergence(gain * audio, audio, 8000).tolist() == pytest.approx([convergence] * 2, rel=1e-4)
    both = pytest.approx([convergence + np.log(2)] * 2, rel=1e-3)
    assert multi_resolution_stft(gain * audio, audio, 8000).tolist() == both


def test_polarity_is_not_heard():
    audio = noise(2, 8000)
    for metric in (lsd, spectral_convergence, multi_resolution_stft):
        assert metric(-audio, audio, 8000).max() < 1e-5


@pytest.mark.parametrize(("n_fft", "hop_length", "length"), [(441, 220, 3000), (80, 40, 3000), (441, 220, 5)])
def test_magnitudes_are_those_of_frames_with_zeros_beyond_the_ends(n_fft, hop_length, length):
    audio = noise(2, length)
    padded = np.pad(audio.double().numpy(), ((0, 0), (n_fft // 2, n_fft // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=1)[:, ::hop_length]
    expected = np.abs(np.fft.rfft(frames * scipy.signal.get_window("hann", n_fft)))
    np.testing.assert_allclose(magnitudes(audio, n_fft, hop_length), expected, atol=1e-5)


def test_gradients_are_not_kept():
    audio = noise(1, 4000).requires_grad_()
    assert not lsd(audio, noise(1, 4000, seed=1), 8000).requires_grad
    assert isinstance(lsd(audio.half(), audio, 8000), torch.Tensor)
