"""Fundamentals of tones whose frequency is known."""

import numpy as np
import pytest
import torch

from src.evaluation.metrics.pitch import f0_error, fundamental
from tests.evaluation.metrics.sounds import noise, tone

FREQUENCIES = [41.2, 82.4, 110.0, 220.0, 440.0, 880.0, 1760.0]


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("decay", [0.05, 0.3, 1e9])
def test_fundamentals_of_harmonic_tones(sample_rate, decay):
    tones = [tone(f, decay, 0.5, min(20, int(0.49 * sample_rate / f)), sample_rate) for f in FREQUENCIES]
    found = fundamental(torch.cat(tones), sample_rate).nanmedian(dim=1).values
    cents = 1200 * np.log2(found.numpy() / FREQUENCIES)
    np.testing.assert_allclose(cents[:5], 0, atol=0.5)
    np.testing.assert_allclose(cents, 0, atol=3)


@pytest.mark.parametrize("partials", [1, 2, 9])
@pytest.mark.parametrize("cents", [-1200.0, -100.0, 5.0, 700.0])
def test_a_detuned_tone_is_off_by_its_detuning(cents, partials):
    target, prediction = (tone(f, 0.3, 0.5, partials, 8000) for f in (220.0, 220.0 * 2 ** (cents / 1200)))
    assert f0_error(0.1 * prediction, target, 8000).item() == pytest.approx(abs(cents), abs=0.3)


def test_a_missing_fundamental_is_found():
    harmonics = tone(200, 1e9, 0.5, 6, 8000) - tone(200, 1e9, 0.5, 1, 8000)
    assert f0_error(harmonics, tone(200, 1e9, 0.5, 1, 8000), 8000).item() == pytest.approx(0, abs=0.3)


def test_what_has_no_pitch_has_no_error():
    sounds = torch.cat([noise(20, 8000), torch.zeros(1, 8000), torch.full((1, 8000), 0.3), torch.zeros(1, 8000)])
    sounds[-1, 4000] = 1.0
    assert fundamental(sounds, 8000).isnan().all()
    assert f0_error(sounds, tone(220, 0.3, 0.5, 9, 8000).expand_as(sounds), 8000).isnan().all()
    assert fundamental(noise(3, 5), 8000).isnan().all()
