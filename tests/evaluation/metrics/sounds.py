"""Decaying harmonic tones with a closed form, for reference values."""

import numpy as np
import torch

PEER_RATE = 44_100


def tone(frequency, decay=0.3, amplitude=0.5, partials=20, sample_rate=PEER_RATE, seconds=1.0):
    """Return (1, T) float32: A exp(-t / decay) sum over k of sin(2 pi f k t) / k, summed in float64."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    k = np.arange(1, partials + 1)[:, None]
    audio = amplitude * np.exp(-t / decay) * (np.sin(2 * np.pi * frequency * k * t) / k).sum(axis=0)
    return torch.from_numpy(audio.astype(np.float32))[None]


def noise(*shape, seed=0):
    """Return white noise, float32, -20 dB re full scale."""
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
