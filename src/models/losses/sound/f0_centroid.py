"""Loss on the spectral centroid, a measure of pitch that always has a gradient."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from src.models.losses.base import Loss, Reduction, one_of
from src.models.losses.sound.peak import reference_peak
from src.models.losses.sound.spectra import ComparesFeatures, mean_distance
from src.spectral.power import PowerSpectrogram

_TINY_POWER = 1e-8  # of a bin, re the sound's own peak squared: makes the spectrum of silence flat


class F0CentroidLoss(ComparesFeatures, Loss, name="f0_centroid", takes=("waveform",)):
    """Mean absolute difference of the frames' power centroids, in octaves (`scale` log) or in Hz.

    Waveforms (B, T) or (B, C, T) at `sample_rate` Hz, float32 or float64. A sine's centroid is its frequency. For
    harmonic sounds with the same spectral shape it is a fixed multiple of the fundamental, so the difference in octaves
    is that of the fundamentals. DC is left out.

    Source: Peeters et al., The Timbre Toolbox, J. Acoust. Soc. Am. 130(5), 2011, DOI 10.1121/1.3642604.
    """

    def __init__(
        self,
        sample_rate: float,
        n_fft: int = 2048,
        hop_length: int | None = None,
        scale: Literal["log", "hz"] = "log",
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        self.scale = one_of("scale", scale, ("log", "hz"))
        self.spectrogram = PowerSpectrogram(n_fft, hop_length)
        frequencies = torch.arange(1, n_fft // 2 + 1) * (sample_rate / n_fft)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def features(self, audio: Tensor, peak: Tensor) -> tuple[Tensor, ...]:
        """Return the centroids (N, F) in Hz, or in octaves above 1 Hz."""
        own_peak = reference_peak(audio)[..., None]  # a centroid does not depend on the other sound
        power = self.spectrogram(audio)[..., 1:] + _TINY_POWER * own_peak.square()
        centroid = power @ self.frequencies.to(audio.dtype) / power.sum(dim=2)
        return (torch.log2(centroid) if self.scale == "log" else centroid,)

    def compare(self, prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Return the mean absolute difference."""
        return mean_distance(prediction[0], target[0])
