"""The error of the fundamental frequency."""

import math

import torch
from torch import Tensor

from src.evaluation.metrics.clips import checked_pair, samples

_FRAME_MS, _HOP_MS = 80, 40
_LOWEST_HZ = 40.0  # three periods in a frame
_HIGHEST_HZ, _HIGHEST_SHARE = 4000.0, 0.25  # of the sample rate, if that is lower
_PERIODIC = 0.6  # autocorrelation at one period; noise stays below about 0.5
_OCTAVE_COST = 0.01  # prefers one period to two, which correlate alike
_AUDIBLE_POWER = 1e-6  # -60 dB re the clip's loudest frame
_SILENT_ENERGY = 1e-8
_LAG_RATE = 44_100  # Hz: a period is found at about this resolution, and interpolated between


def f0_error(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the median over frames of the absolute difference (B,) in cents of the fundamentals of clips (B, T).

    Only frames in which both clips are periodic count. NaN if there are none: a noise has no pitch.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    own, other = fundamental(prediction, sample_rate), fundamental(target, sample_rate)
    return (1200 * (own / other).log2().abs()).nanmedian(dim=1).values


def fundamental(audio: Tensor, sample_rate: int) -> Tensor:
    """Return the fundamental (B, F) in Hz of frames of 80 ms of clips (B, T), NaN in frames that are not periodic.

    It is the inverse of the lag of the largest peak of the autocorrelation, between 40 Hz and 4 kHz or a quarter of the
    sample rate. The autocorrelation of a windowed frame is divided by that of the window.

    Source: Boersma, Accurate Short-Term Analysis of the Fundamental Frequency, Proc. Inst. Phonetic Sciences 17, 1993.
    """
    length, upsampling = samples(sample_rate, _FRAME_MS), max(1, round(_LAG_RATE / sample_rate))
    audio = torch.nn.functional.pad(audio, (0, max(0, length - audio.shape[1])))
    frames = audio.unfold(1, length, samples(sample_rate, _HOP_MS))
    window = torch.hann_window(length, device=audio.device)
    frames = frames - (frames @ window / window.sum())[..., None]  # so that the windowed frame has no DC
    rate = sample_rate * upsampling
    longest = math.ceil(rate / _LOWEST_HZ) + 1
    correlation = _autocorrelation(frames * window, upsampling, longest)
    of_window = _autocorrelation(window, upsampling, longest)
    energy = correlation[..., :1]
    normalised = correlation / energy.clamp_min(_SILENT_ENERGY) * (of_window[0] / of_window)
    shortest = math.floor(rate / min(_HIGHEST_HZ, _HIGHEST_SHARE * sample_rate))
    period, height = _best_peak(normalised, shortest)
    audible = energy[..., 0] > (energy[..., 0].amax(dim=1, keepdim=True) * _AUDIBLE_POWER).clamp_min(_SILENT_ENERGY)
    return torch.where(audible & (height > _PERIODIC), rate / period, torch.nan)


def _autocorrelation(frames: Tensor, upsampling: int, longest: int) -> Tensor:
    """Return the autocorrelation (..., longest + 1) of frames (..., L) at lags of 1 / upsampling sample."""
    n_fft = 2 ** math.ceil(math.log2(2 * frames.shape[-1]))
    power = torch.fft.rfft(frames, n_fft).abs().square()
    return torch.fft.irfft(power, n_fft * upsampling)[..., : longest + 1] * upsampling


def _best_peak(correlation: Tensor, shortest: int) -> tuple[Tensor, Tensor]:
    """Return the lag and the height of the best local maximum from lag `shortest` on, interpolated by a parabola."""
    left, middle, right = correlation[..., :-2], correlation[..., 1:-1], correlation[..., 2:]
    lags = torch.arange(1, correlation.shape[-1] - 1, device=correlation.device)
    peak = (middle > left) & (middle >= right) & (lags >= shortest)
    score = torch.where(peak, middle - _OCTAVE_COST * lags.log2(), -torch.inf)
    best = score.argmax(dim=-1, keepdim=True)
    left, middle, right = (values.gather(-1, best)[..., 0] for values in (left, middle, right))
    curvature = (left - 2 * middle + right).clamp_max(-1e-12)
    found = score.amax(dim=-1) > -torch.inf
    offset = (0.5 * (left - right) / curvature).clamp(-0.5, 0.5)
    return best[..., 0] + 1 + offset, torch.where(found, middle, 0.0)
