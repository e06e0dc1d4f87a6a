"""Envelopes by hand."""

import numpy as np
import pytest
import torch

from src.models.losses.sound.envelope import EnvelopeLoss


def test_constants_differ_by_their_levels():
    ones = torch.ones(2, 4096)
    assert EnvelopeLoss(1024)(0.25 * ones, -ones).item() == pytest.approx(0.75)


def test_pitch_and_phase_are_not_heard():
    time = torch.arange(44100, dtype=torch.float64) / 44100
    low, high = (torch.sin(2 * torch.pi * f * time + phase)[None] for f, phase in [(1000.0, 0.0), (4410.0, 1.0)])
    assert EnvelopeLoss(4410, 4410)(low, high).item() == pytest.approx(0, abs=1e-5)


def test_noise_matches_numpy_with_the_last_frame_filled_up():
    x, y = np.random.default_rng(0).normal(size=(2, 1000))
    envelopes = []
    for audio in (x, y):
        padded = np.pad(audio, (0, 32))  # frames at 0, 128 .. 896; the last would end at 1152 without the stop
        frames = [padded[start : start + 256] for start in range(0, 777, 128)]
        envelopes.append([np.sqrt(np.sum(np.square(frame)) / 256) for frame in frames])
    found = EnvelopeLoss(256, 128)(torch.tensor(x)[None], torch.tensor(y)[None])
    assert found.item() == pytest.approx(np.abs(np.subtract(*envelopes)).mean(), rel=1e-9)


def test_a_frame_without_samples_is_refused():
    with pytest.raises(ValueError, match="frame_length, hop_length: 0 and 1 given"):
        EnvelopeLoss(0)
