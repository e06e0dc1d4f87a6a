"""Resampling against the sound itself at the other rate."""

import pytest
import torch

from src.evaluation.metrics.clips import PEER_RATE, checked, resample
from src.utils.errors import UserError
from tests.evaluation.metrics.sounds import noise


def sine(sample_rate, seconds=1.0):
    return torch.sin(2 * torch.pi * 440 * torch.arange(round(seconds * sample_rate)).double() / sample_rate)[None]


@pytest.mark.parametrize(("old", "new"), [(8000, PEER_RATE), (48_000, PEER_RATE), (PEER_RATE, 8000), (8000, 16_000)])
def test_a_sine_is_the_same_sine_at_another_rate(old, new):
    resampled = resample(sine(old), old, new)
    assert resampled.shape == (1, new) and resampled.dtype == torch.float32
    inner = slice(new // 20, -new // 20)  # the filter meets the ends
    torch.testing.assert_close(resampled[:, inner].double(), sine(new)[:, inner], atol=2e-3, rtol=0)


def test_no_other_rate_changes_nothing():
    audio = noise(2, 100)
    assert torch.equal(resample(audio, 8000, None), audio) and torch.equal(resample(audio, 8000, 8000), audio)
    with pytest.raises(UserError, match="audio: clip 0"):
        resample(torch.full((1, 9), torch.inf), 8000, PEER_RATE)


def test_half_precision_is_widened_before_it_is_checked():
    with pytest.raises(UserError, match="audio: clip 1"):
        checked(torch.tensor([[1.0], [torch.inf]], dtype=torch.float16), "audio")
    assert checked(torch.ones(1, 2, dtype=torch.bfloat16), "audio").dtype == torch.float32
