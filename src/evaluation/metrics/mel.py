"""Mel spectrograms as published evaluations compute them: Slaney's scale, frames with zeros beyond the ends."""

import functools

import numpy as np
import torch
from torch import Tensor

_LINEAR_HZ = 200 / 3  # per mel, below 1 kHz
_LOG_STEP = np.log(6.4) / 27  # per mel, above
_BREAK_HZ = 1000.0
_SMALLEST_POWER = 1e-10
RANGE_DB = 80.0


def magnitudes(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Return STFT magnitudes (B, F, n_fft // 2 + 1) of clips (B, T), F = (T - n_fft % 2) // hop_length + 1.

    Periodic Hann window, frames centred on multiples of the hop, zeros beyond the ends; n_fft may be odd.
    `src.spectral.power` differs in that it mirrors the ends.
    """
    window = torch.hann_window(n_fft, device=audio.device)
    spectrum = torch.stft(audio, n_fft, hop_length, window=window, pad_mode="constant", return_complex=True)
    return spectrum.abs().transpose(1, 2)


def mel_power(audio: Tensor, sample_rate: int, n_fft: int, hop_length: int, num_bands: int) -> Tensor:
    """Return mel power spectrograms (B, F, num_bands) of clips (B, T)."""
    filters = torch.from_numpy(slaney_matrix(num_bands, n_fft, sample_rate)).to(audio)
    return magnitudes(audio, n_fft, hop_length).square() @ filters.T


@functools.lru_cache(maxsize=16)
def slaney_matrix(num_bands: int, n_fft: int, sample_rate: int) -> np.ndarray:
    """Return (num_bands, n_fft // 2 + 1) float32 triangles of unit area in Hz, from 0 to the Nyquist frequency.

    Source: Slaney, Auditory Toolbox, Interval Research technical report 1998-010.
    """
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(sample_rate / 2), num_bands + 2))
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    return (triangles * 2 / (high - low)).astype(np.float32)


def _hz_to_mel(frequency: float) -> float:
    if frequency < _BREAK_HZ:
        return frequency / _LINEAR_HZ
    return _BREAK_HZ / _LINEAR_HZ + float(np.log(frequency / _BREAK_HZ)) / _LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    above = mel - _BREAK_HZ / _LINEAR_HZ
    return np.where(above < 0, mel * _LINEAR_HZ, _BREAK_HZ * np.exp(np.maximum(above, 0) * _LOG_STEP))


def decibels(power: Tensor, own_maximum: bool) -> Tensor:
    """Return power (B, F, K) in dB, at least 80 dB below each clip's maximum.

    0 dB is the clip's own maximum, or a power of 1. Powers below 1e-10 count as 1e-10.
    """
    level = 10 * power.clamp_min(_SMALLEST_POWER).log10()
    maximum = level.amax(dim=(1, 2), keepdim=True)
    level = torch.maximum(level, maximum - RANGE_DB)
    return level - maximum if own_maximum else level
