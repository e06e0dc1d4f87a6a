"""Metrics on samples against closed forms."""

import math

import pytest
import torch

from src.evaluation.metrics.waveforms import esr, si_sdr
from tests.evaluation.metrics.sounds import tone


def orthogonal(ratio):
    """Return a sine, and the sine plus `ratio` times a cosine, whole periods of both."""
    phase = 2 * torch.pi * 50 * torch.arange(8000) / 8000
    return phase.sin()[None], (phase.sin() + ratio * phase.cos())[None]


@pytest.mark.parametrize("ratio", [0.01, 0.1, 1.0])
def test_an_orthogonal_error_has_its_own_energy(ratio):
    target, prediction = orthogonal(ratio)
    assert esr(prediction, target, 8000).item() == pytest.approx(ratio**2, rel=1e-3)
    for gain, offset in ((1.0, 0.0), (0.01, 0.0), (3.0, 0.2), (-1.0, 0.0)):
        measured = si_sdr(gain * prediction + offset, target, 8000).item()
        assert measured == pytest.approx(-20 * math.log10(ratio), abs=0.02)


def test_level_counts_in_esr_alone():
    audio = tone(220)
    assert esr(0.5 * audio, audio, 44_100).item() == pytest.approx(0.25, rel=1e-5)
    assert si_sdr(0.5 * audio, audio, 44_100) > 90
    assert si_sdr(1e-3 * audio, 1e-3 * audio, 44_100) > 90
    assert esr(torch.zeros_like(audio), audio, 44_100).item() == pytest.approx(1)
