"""Metrics of level: of the whole clip, over time, and as loudness."""

import functools

import numpy as np
import torch
from scipy.signal import freqz
from torch import Tensor

from src.evaluation.metrics.clips import checked_pair, require_rate, samples
from src.evaluation.metrics.published import rms_envelope

_SILENT_POWER = 1e-10  # -100 dB re full scale
_SILENT_AMPLITUDE = 1e-5
_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, 10.0
_OFFSET_LU = -0.691  # the gain of the K weighting at 997 Hz


def level_error(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the absolute difference (B,) in dB of the root mean squares of clips (B, T).

    Levels below -100 dB re full scale count as -100 dB. It does not depend on the sample rate.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    own, other = (audio.square().mean(dim=1).clamp_min(_SILENT_POWER).log10() for audio in (prediction, target))
    return 10 * (own - other).abs()


def envelope_error(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the mean absolute difference of the level envelopes / mean of the target's (B,) of clips (B, T).

    An envelope is the root mean square of frames of 20 ms with a hop of 10 ms. A silent target counts as 1e-5.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    sizes = samples(sample_rate, 20), samples(sample_rate, 10)
    own, other = (rms_envelope(audio, *sizes) for audio in (prediction, target))
    return (own - other).abs().mean(dim=1) / other.mean(dim=1).clamp_min(_SILENT_AMPLITUDE)


def loudness_error(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the absolute difference (B,) in LU (dB) of the loudness of clips (B, T)."""
    prediction, target = checked_pair(prediction, target, sample_rate)
    return (loudness(prediction, sample_rate) - loudness(target, sample_rate)).abs()


def loudness(audio: Tensor, sample_rate: int) -> Tensor:
    """Return the integrated loudness (B,) in LUFS of mono clips (B, T); at least -70, the level of the absolute gate.

    A clip shorter than 0.4 s, the length of a block, is a single block, without the relative gate.

    Source: Recommendation ITU-R BS.1770-4, annex 1.
    """
    require_rate(sample_rate)
    block = min(samples(sample_rate, 400), audio.shape[1])
    power = _k_weighted(audio, sample_rate).square()
    blocks = torch.nn.functional.avg_pool1d(power[:, None], block, samples(sample_rate, 100))[:, 0]
    audible = _lufs(blocks) > _GATE_LUFS
    gate = _lufs(_mean_where(audible, blocks)) - _RELATIVE_GATE_LU
    return _lufs(_mean_where(audible & (_lufs(blocks) > gate[:, None]), blocks)).clamp_min(_GATE_LUFS)


def _lufs(power: Tensor) -> Tensor:
    return _OFFSET_LU + 10 * power.clamp_min(_SILENT_POWER).log10()


def _mean_where(mask: Tensor, values: Tensor) -> Tensor:
    """Return the mean (B,) of the values (B, F) that a mask selects, 0 if it selects none."""
    return (values * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)


def _k_weighted(audio: Tensor, sample_rate: int) -> Tensor:
    """Return clips (B, T) after the K weighting, by their spectra.

    The zeros that are added are longer than the filter's response, so nothing wraps around.
    """
    length = audio.shape[1]
    padded = length + samples(sample_rate, 250)  # the high-pass at 38 Hz decays by 1e-7 in 70 ms
    response = torch.from_numpy(_k_response(padded, sample_rate)).to(audio.device)
    return torch.fft.irfft(torch.fft.rfft(audio, padded) * response, padded)[:, :length]


@functools.lru_cache(maxsize=4)
def _k_response(n_fft: int, sample_rate: int) -> np.ndarray:
    """Return the K weighting's response (n_fft // 2 + 1,) complex64: a high shelf, then a high-pass.

    The recommendation gives coefficients for 48 kHz. These are the bilinear transforms of the same analogue filters.
    """
    frequencies = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    shelf, high_pass = k_filters(sample_rate)
    responses = [freqz(*filter_, worN=frequencies, fs=sample_rate)[1] for filter_ in (shelf, high_pass)]
    return (responses[0] * responses[1]).astype(np.complex64)


def k_filters(sample_rate: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the coefficients (numerator, denominator) of the shelf and of the high-pass at a sample rate."""
    gain, gain_at_centre = 10 ** (3.999843853973347 / 20), 10 ** (3.999843853973347 / 20 * 0.4996667741545416)
    k, damping = np.tan(np.pi * 1681.974450955533 / sample_rate), 1 / 0.7071752369554196
    middle = gain_at_centre * k * damping
    shelf = np.array([gain + middle + k**2, 2 * (k**2 - gain), gain - middle + k**2])
    shelf_poles = np.array([1 + k * damping + k**2, 2 * (k**2 - 1), 1 - k * damping + k**2])
    k, damping = np.tan(np.pi * 38.13547087602444 / sample_rate), 1 / 0.5003270373238773
    poles = np.array([1 + k * damping + k**2, 2 * (k**2 - 1), 1 - k * damping + k**2])
    return (shelf / shelf_poles[0], shelf_poles / shelf_poles[0]), (np.array([1.0, -2.0, 1.0]), poles / poles[0])
