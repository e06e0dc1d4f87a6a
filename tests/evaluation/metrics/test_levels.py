"""Level and envelope against closed forms, loudness against the recommendation's figures and scipy's filters."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from src.evaluation.metrics.levels import envelope_error, k_filters, level_error, loudness, loudness_error
from tests.evaluation.metrics.sounds import noise, tone


@pytest.mark.parametrize("gain", [0.1, 0.5, 2.0])
def test_a_gain_is_its_own_error(gain):
    audio = noise(3, 9000)
    decibels = pytest.approx([abs(20 * np.log10(gain))] * 3, rel=1e-4)
    assert level_error(gain * audio, audio, 8000).tolist() == decibels
    assert loudness_error(gain * audio, audio, 8000).tolist() == decibels
    assert envelope_error(gain * audio, audio, 8000).tolist() == pytest.approx([abs(gain - 1)] * 3, rel=1e-4)


def test_the_envelope_error_of_another_decay_is_that_of_the_exponentials():
    """exp(-t / .2) against exp(-t / .3) for 1 s; frames of 20 ms change each by the same few per mille."""
    t = (np.arange(44_100) + 0.5) / 44_100
    short, long = np.exp(-t / 0.2), np.exp(-t / 0.3)
    measured = envelope_error(tone(220, 0.2), tone(220, 0.3), 44_100).item()
    assert measured == pytest.approx((long - short).sum() / long.sum(), rel=0.02)


def test_k_filters_at_48_khz_are_those_of_the_recommendation():
    (shelf, shelf_poles), (zeros, poles) = k_filters(48_000)
    np.testing.assert_allclose(shelf, [1.53512485958697, -2.69169618940638, 1.19839281085285], rtol=1e-10)
    np.testing.assert_allclose(shelf_poles, [1, -1.69065929318241, 0.73248077421585], rtol=1e-10)
    np.testing.assert_allclose(zeros, [1, -2, 1])
    np.testing.assert_allclose(poles, [1, -1.99004745483398, 0.99007225036621], rtol=1e-10)


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100, 48_000])
def test_a_full_scale_sine_of_997_hz_has_minus_3_01_lufs(sample_rate):
    """As the recommendation states; meters may be 0.1 LU off (EBU Tech 3341)."""
    sine = torch.sin(2 * torch.pi * 997 * torch.arange(sample_rate, dtype=torch.float64) / sample_rate)
    assert loudness(sine[None].float(), sample_rate).item() == pytest.approx(-3.01, abs=0.1)


@pytest.mark.parametrize(("sample_rate", "seconds"), [(8000, 0.3), (8000, 1.0), (44_100, 2.35)])
def test_loudness_is_that_of_filtered_samples_and_gated_blocks(sample_rate, seconds):
    sounds = torch.cat(
        [tone(220, 0.15, sample_rate=sample_rate, seconds=seconds), noise(1, int(seconds * sample_rate))]
    )
    expected = [gated(audio.numpy().astype(np.float64), sample_rate) for audio in sounds]
    np.testing.assert_allclose(loudness(sounds, sample_rate), expected, atol=2e-3)


def gated(audio, sample_rate):
    """Return the loudness in LUFS of (T,), block by block in float64; a short clip is one block."""
    for zeros, poles in k_filters(sample_rate):
        audio = lfilter(zeros, poles, audio)
    length = min(int(0.4 * sample_rate), len(audio))
    starts = range(0, len(audio) - length + 1, int(0.1 * sample_rate))
    powers = np.array([np.mean(audio[start : start + length] ** 2) for start in starts])
    levels = -0.691 + 10 * np.log10(powers)
    loud = levels > -70
    relative = -0.691 + 10 * np.log10(powers[loud].mean()) - 10
    return -0.691 + 10 * np.log10(powers[loud & (levels > relative)].mean())


def test_a_pause_changes_the_loudness_only_by_the_blocks_at_its_edge():
    """Gates leave out the silence; 7 full blocks, and 3/4, 2/4 and 1/4 of one, have 85 % of the power."""
    audio = noise(1, 8000)
    with_pause = torch.cat([audio, torch.zeros(1, 40_000)], dim=1)
    expected = loudness(audio, 8000).item() + 10 * np.log10(0.85)
    assert loudness(with_pause, 8000).item() == pytest.approx(expected, abs=0.1)
    assert level_error(with_pause, torch.cat([audio] * 6, dim=1), 8000).item() == pytest.approx(7.78, abs=0.01)
    assert loudness(torch.zeros(1, 8000), 8000).item() == -70
