"""All metrics of pairs of clips, for tables of results."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor

from src.evaluation.metrics.levels import envelope_error, level_error, loudness_error
from src.evaluation.metrics.pitch import f0_error
from src.evaluation.metrics.published import mss, rms_cosine, sot, wmfcc
from src.evaluation.metrics.spectra import lsd, multi_resolution_stft, spectral_convergence
from src.evaluation.metrics.waveforms import esr, si_sdr


class ClipMetric(NamedTuple):
    """A function of prediction (B, T), target (B, T) and sample rate that returns (B,) float32, and what it measures.

    Only `f0_error` may return NaN, for clips without a pitch.
    """

    function: Callable[[Tensor, Tensor, int], Tensor]
    unit: str
    better: Literal["lower", "higher"]
    description: str


METRICS = {
    "mss": ClipMetric(mss, "dB", "lower", "mel spectra at three resolutions, without level"),
    "wmfcc": ClipMetric(wmfcc, "dB", "lower", "timbre and level, without timing"),
    "sot": ClipMetric(sot, "", "lower", "distance that energy must move in frequency, without level"),
    "rms_cosine": ClipMetric(rms_cosine, "", "higher", "shape of the level over time"),
    "lsd": ClipMetric(lsd, "dB", "lower", "spectra in dB, with level"),
    "multi_resolution_stft": ClipMetric(multi_resolution_stft, "", "lower", "spectra with three windows, with level"),
    "spectral_convergence": ClipMetric(spectral_convergence, "", "lower", "the strong parts of spectra, with level"),
    "si_sdr": ClipMetric(si_sdr, "dB", "higher", "samples, without level"),
    "esr": ClipMetric(esr, "", "lower", "samples, with level"),
    "envelope_error": ClipMetric(envelope_error, "", "lower", "level over time"),
    "level_error": ClipMetric(level_error, "dB", "lower", "level of the whole clip"),
    "loudness_error": ClipMetric(loudness_error, "LU", "lower", "loudness of the whole clip"),
    "f0_error": ClipMetric(f0_error, "cents", "lower", "pitch"),
}
