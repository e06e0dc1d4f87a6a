"""Power spectrograms against scipy and torch.stft, and their hand-written gradient against autograd's."""

import numpy as np
import pytest
import scipy.signal
import torch

from src.spectral.power import PowerSpectrogram

SIZES = [(64, 16, 64), (64, 10, 40), (32, 32, 32), (32, 50, 20), (128, 1, 64), (64, 24, 33), (2, 1, 2)]
every_size = pytest.mark.parametrize("sizes", SIZES)


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("length", [64, 100, 517])
def test_power_matches_scipy(length):
    audio = noise(length)
    window = scipy.signal.get_window("hann", 64)
    _, _, expected = scipy.signal.stft(
        audio.numpy(), window=window, nperseg=64, noverlap=48, boundary="even", padded=False
    )
    ours = PowerSpectrogram(64)(audio[None])[0].T
    power = np.abs(expected * window.sum()) ** 2
    np.testing.assert_allclose(ours[:, : power.shape[1]], power, rtol=1e-5, atol=1e-6 * power.max())


@every_size
@pytest.mark.parametrize("length", [65, 400])
def test_power_and_gradient_match_torch_stft(sizes, length):
    spectrogram = PowerSpectrogram(*sizes)
    audio = noise(3, length).requires_grad_()
    n_fft, hop_length, window_length = sizes
    stft = torch.stft(audio, n_fft, hop_length, window_length, spectrogram.window.double(), return_complex=True)
    expected = (stft.real.square() + stft.imag.square()).transpose(1, 2)
    ours = spectrogram(audio)
    torch.testing.assert_close(ours, expected)
    weights = noise(*ours.shape)
    gradients = [torch.autograd.grad((power * weights).sum(), audio)[0] for power in (ours, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("sizes", [(16, 4, 16), (16, 3, 10), (8, 1, 5), (2, 1, 2)])
def test_gradient_matches_finite_differences(sizes):
    torch.autograd.gradcheck(PowerSpectrogram(*sizes), noise(2, 30).requires_grad_())


def test_audio_too_short_to_be_mirrored_is_extended_with_zeros():
    spectrogram = PowerSpectrogram(64)
    extended = torch.zeros(1, 33, dtype=torch.float64)
    extended[:, :5] = noise(1, 5)
    torch.testing.assert_close(spectrogram(extended[:, :5]), spectrogram(extended))


def test_a_full_scale_sine_at_a_bin_has_the_power_of_a_quarter_of_the_windows_sum():
    audio = torch.sin(2 * torch.pi * 8 / 64 * torch.arange(640, dtype=torch.float64))
    power = PowerSpectrogram(64)(audio[None])[0, 5:-5]
    torch.testing.assert_close(
        power[:, 8], torch.full((len(power),), (32 / 2) ** 2, dtype=torch.float64), rtol=1e-5, atol=0
    )
    assert power[:, 12:].max() < 1e-8


def test_the_graph_can_be_gone_through_twice():
    audio = noise(1, 100).requires_grad_()
    total = PowerSpectrogram(16)(audio).sum()
    once, twice = (torch.autograd.grad(total, audio, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(once, twice)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((63,), "n_fft: 63 "), ((0,), "n_fft: 0 "), ((64, 0), "hop_length: 0 "), ((64, 16, 65), "window_length: 65 ")],
)
def test_sizes_that_cannot_be_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        PowerSpectrogram(*sizes)
