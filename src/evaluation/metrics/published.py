"""Four metrics of synthesizer sound matching, with the settings of the published evaluation.

Windows are durations, so that the settings are the published ones at 44,100 Hz. Published values are at that rate.

Source: Hayes, Saitis, Fazekas, Audio synthesizer inversion in symmetric parameter spaces with approximately equivariant
flow matching, ISMIR 2025, and the authors' evaluation script.
"""

import torch
from torch import Tensor

from src.evaluation.metrics.clips import checked_pair, samples
from src.evaluation.metrics.mel import decibels, magnitudes, mel_power
from src.evaluation.metrics.warping import warped_distance

_SCALES = ((10, 5, 32), (25, 10, 64), (100, 50, 128))  # window and hop in ms, mel bands
_NUM_MFCC, _MFCC_BANDS = 20, 128
_SMALLEST_SUM = 1e-6  # of a frame's magnitudes, below which it counts as silent
_SILENT_NORM = 1e-6  # of an envelope


def mss(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the multi-scale mel spectrogram distance (B,) in dB of clips (B, T).

    It is the mean absolute difference of three mel spectrograms, each in dB relative to its own maximum.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    total = prediction.new_zeros(len(prediction))
    for window_ms, hop_ms, num_bands in _SCALES:
        sizes = samples(sample_rate, window_ms), samples(sample_rate, hop_ms), num_bands
        own, other = (decibels(mel_power(audio, sample_rate, *sizes), True) for audio in (prediction, target))
        total += (own - other).abs().mean(dim=(1, 2))
    return total / len(_SCALES)


def wmfcc(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the time-warped distance (B,) of the first 20 mel cepstral coefficients, in dB, of clips (B, T)."""
    prediction, target = checked_pair(prediction, target, sample_rate)
    return warped_distance(_mfcc(prediction, sample_rate), _mfcc(target, sample_rate))


def _mfcc(audio: Tensor, sample_rate: int) -> Tensor:
    """Return (B, F, 20) coefficients: an orthonormal DCT-II of 128 mel bands in dB."""
    power = mel_power(audio, sample_rate, samples(sample_rate, 50), samples(sample_rate, 10), _MFCC_BANDS)
    orders = torch.arange(_NUM_MFCC, device=audio.device)[:, None]
    phases = (torch.arange(_MFCC_BANDS, device=audio.device) + 0.5) * (torch.pi / _MFCC_BANDS)
    cosines = torch.cos(orders * phases) * (2 / _MFCC_BANDS) ** 0.5
    cosines[0] *= 0.5**0.5
    return decibels(power, False) @ cosines.T


def sot(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the spectral optimal transport distance (B,) of clips (B, T), as a fraction of the Nyquist frequency.

    It is the mean distance by which the magnitude of a frame must move along the frequency axis. Frames without sound
    have no magnitude to move; against them each other frame counts as the distance from its centroid to the top.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    own, other = (_distribution(audio, sample_rate) for audio in (prediction, target))
    # summed after the difference, since in float32 two sums up to 1 would hide small distances
    return (own - other).cumsum(dim=2).abs().mean(dim=(1, 2))


def _distribution(audio: Tensor, sample_rate: int) -> Tensor:
    magnitude = magnitudes(audio, samples(sample_rate, 50), samples(sample_rate, 20))
    return magnitude / magnitude.sum(dim=2, keepdim=True).clamp_min(_SMALLEST_SUM)


def rms_cosine(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the cosine (B,) of the angle between the level envelopes of clips (B, T), from 0 to 1.

    Two silent clips have 1, a silent and another clip 0.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    own, other = (rms_envelope(audio, *_envelope_sizes(sample_rate)) for audio in (prediction, target))
    norms = [torch.linalg.vector_norm(envelope, dim=1) for envelope in (own, other)]
    cosine = (own * other).sum(dim=1) / (norms[0] * norms[1]).clamp_min(_SILENT_NORM**2)
    both_silent = torch.maximum(norms[0], norms[1]) < _SILENT_NORM
    return torch.where(both_silent, 1.0, cosine).clamp(0, 1)


def _envelope_sizes(sample_rate: int) -> tuple[int, int]:
    return samples(sample_rate, 50), samples(sample_rate, 25)


def rms_envelope(audio: Tensor, frame_length: int, hop_length: int) -> Tensor:
    """Return the root mean square (B, F) of frames of clips (B, T), centred on multiples of the hop."""
    half = frame_length // 2
    squares = torch.nn.functional.pad(audio.square(), (half, half))
    return torch.nn.functional.avg_pool1d(squares[:, None], frame_length, hop_length)[:, 0].sqrt()
