"""Onsets of notes: where the spectrum of a recording rises suddenly (spectral flux), computed block by block."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import rfft
from scipy.ndimage import median_filter

_HOP = 0.01  # s between frames
_WINDOW = 6  # hops in a frame: 60 ms holds two periods of 33 Hz, so that the periods of a low note are no onsets
_LAG = 3  # frames between the two that are compared, half a window: a slow attack rises more than over one hop
_BASELINE = 31  # frames, 0.3 s: the median of their flux is that of a steady sound, such as noise
_INAUDIBLE = 100.0  # dB: the weight of all bins is at least this, so that a single bin near the floor is no onset


def onset_curve(
    samples: np.ndarray, sample_rate: int, floor: float, state: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectral flux and the level of each frame, (F, 2) float32 in dB, and the state for the next block.

    `samples` is a block (T,) float32, full scale +-1. Frame k ends before sample (k + 1) * hop of the recording, and
    silence precedes the recording. A bin's level is at least `floor` (0 dB: a full-scale sine). The flux is the mean
    rise of the bins since an earlier frame, weighted by their height above the floor. Of the earlier frame, the largest
    of three neighbouring bins counts, so that vibrato is no onset (Boeck & Widmer, "Maximum filter vibrato suppression
    for onset detection", DAFx 2013).
    """
    hop = _hop_samples(sample_rate)
    length = _WINDOW * hop
    kept = length + (_LAG - 1) * hop
    if state is None:
        state = np.zeros(kept, np.float32)
    buffer = np.concatenate([state, samples])
    count = (len(buffer) - kept) // hop
    if count < 1:
        return np.empty((0, 2), np.float32), buffer
    window = np.hanning(length + 1)[:-1].astype(np.float32)
    frames = sliding_window_view(buffer, length)[::hop][: count + _LAG]
    spectrum = rfft(frames * (window * (2.0 / window.sum())))[:, 1:]  # without DC
    power = spectrum.real**2 + spectrum.imag**2
    least = np.float32(10.0 ** (floor / 10.0))
    height = 10.0 * np.log10(np.maximum(power / least, 1.0))  # above the floor
    earlier = np.pad(height[:-_LAG], ((0, 0), (1, 1)), mode="edge")
    earlier = np.maximum(np.maximum(earlier[:, :-2], earlier[:, 1:-1]), earlier[:, 2:])
    height, power = height[_LAG:], power[_LAG:]
    rise = np.maximum(height - earlier, 0.0)
    flux = (height * rise).sum(axis=1) / (height.sum(axis=1) + _INAUDIBLE)
    level = 10.0 * np.log10(np.maximum(power.sum(axis=1), least))
    return np.stack([flux, level], axis=1), buffer[count * hop :]


def pick_onsets(curve: np.ndarray, sample_rate: int, threshold: float, min_gap: float) -> list[int]:
    """Return the samples at which notes begin, in order, for the curve (F, 2) of a whole recording.

    An onset is the first frame whose flux exceeds the median of the 0.3 s before it by `threshold` dB, if the level has
    not fallen by the end of a window, as it does at the end of a note, and if the last onset is `min_gap` s away.
    """
    if not len(curve):
        return []
    flux, level = curve.T
    delay = _BASELINE // 2 + 1  # from the centre of the frames before to this one
    baseline = np.pad(median_filter(flux, _BASELINE, mode="constant"), (delay, 0))[:-delay]
    above = flux > baseline + threshold
    hop = _hop_samples(sample_rate)
    onsets: list[int] = []
    for frame in np.flatnonzero(above & ~np.pad(above, (1, 0))[:-1]).tolist():
        later = min(frame + _WINDOW - 1, len(level) - 1)
        sample = max(0, frame * hop - hop // 2)  # the window's end is near zero: an onset shows half a hop late
        rises = frame == 0 or level[later] > level[frame - 1]
        if rises and (not onsets or sample - onsets[-1] >= min_gap * sample_rate):
            onsets.append(sample)
    return onsets


def surroundings(sample_rate: int) -> tuple[int, int]:
    """Return how many samples before an onset `shift_to_attack` needs, and how many in all."""
    return 4 * _hop_samples(sample_rate), 6 * _hop_samples(sample_rate)


def shift_to_attack(samples: np.ndarray, sample_rate: int, floor: float) -> int:
    """Return how many samples later than an onset of `pick_onsets` the note begins; negative: earlier.

    `samples` surround the onset. The note begins a sample before the first one, at most 20 ms from the onset, that has
    twice the peak of the first 20 ms of `samples`, since a note's first sample is usually zero. Without such a sample,
    as in a note under a loud one, the shift is 0.
    """
    quiet = 2 * _hop_samples(sample_rate)
    level = max(2.0 * float(np.abs(samples[:quiet]).max()), 10.0 ** (floor / 20.0))
    loud = np.flatnonzero(np.abs(samples[quiet:]) > level)
    return int(loud[0]) - 1 - quiet if len(loud) else 0


def _hop_samples(sample_rate: int) -> int:
    return max(1, round(_HOP * sample_rate))
