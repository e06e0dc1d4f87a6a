"""The multi-scale loss against numpy, scale by scale."""

import numpy as np
import pytest
import torch

from src.models.losses.sound.multi_scale import MultiScaleSpectralLoss


def magnitudes(audio, n_fft, hop_length):
    """Magnitudes (F, K) of mirrored, Hann-windowed frames, by numpy."""
    audio = np.pad(audio, n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(audio, n_fft)[::hop_length]
    return np.abs(np.fft.rfft(frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft))))


@pytest.mark.parametrize(("mag_w", "logmag_w"), [(1, 0), (0, 1), (0.3, 2)])
@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("power", [1, 2])
def test_loss_matches_numpy(mag_w, logmag_w, p, power):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 700))
    expected = 0.0
    for n_fft, hop_length in [(256, 64), (128, 32), (64, 16)]:
        a, b = magnitudes(x, n_fft, hop_length), magnitudes(y, n_fft, hop_length)
        for weight, error in [(mag_w, a**power - b**power), (logmag_w, np.log(a) - np.log(b))]:
            expected += weight * np.mean(np.abs(error) ** p) ** (1 / p)
    loss = MultiScaleSpectralLoss(256, 3, mag_w=mag_w, logmag_w=logmag_w, p=p, power=power)
    assert loss(torch.tensor(x)[None], torch.tensor(y)[None]).item() == pytest.approx(expected, rel=1e-5)


def test_defaults_are_six_scales_from_2048_down_with_hops_of_a_quarter():
    loss = MultiScaleSpectralLoss()
    assert loss.n_ffts == [2048, 1024, 512, 256, 128, 64]
    assert loss.hop_lengths == [512, 256, 128, 64, 32, 16]
    assert [(op.n_fft, op.hop_length) for op in loss.ops] == list(zip(loss.n_ffts, loss.hop_lengths, strict=True))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_n_fft": 100, "num_scales": 3}, "max_n_fft: 100 "),
        ({"num_scales": 0}, "max_n_fft: 2048 "),
        ({"hop_lengths": [1, 2]}, "hop_lengths: 2 given for 6 scales"),
        ({"p": 0.5}, "p: 0.5 "),
        ({"power": 3}, "power: 3 "),
        ({"mag_w": 0}, "mag_w, logmag_w: 0 and 0.0 given"),
        ({"mag_w": -1}, "mag_w, logmag_w: -1 and 0.0 given"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        MultiScaleSpectralLoss(**given)
