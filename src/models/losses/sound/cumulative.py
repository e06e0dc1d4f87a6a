"""Losses that grow with the displacement of two sounds in time or frequency: cumulative sums and transport."""

from collections.abc import Sequence
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from src.models.losses.base import Loss, Reduction, one_of
from src.models.losses.sound.multi_scale import scales
from src.models.losses.sound.peak import reference_peak
from src.models.losses.sound.spectra import ComparesFeatures, mean_distance
from src.spectral.power import PowerSpectrogram

_AXES = {"time": 1, "frequency": 2}
_TINY_POWER = 1e-8  # of a bin, re the sound's own peak squared: makes the spectrum of silence flat


class CumulativeSpectralLoss(ComparesFeatures, Loss, name="cumulative_spectral", takes=("waveform",)):
    """Sum over scales of the mean absolute difference of power spectrograms summed up along time or frequency.

    Waveforms (B, T) or (B, C, T), float32 or float64. The difference grows with the displacement of an event in time or
    of a partial in frequency, whereas that of plain spectrograms does not depend on the distance. `normalized` divides
    each scale's power by n_fft squared, so that short windows have a larger weight.

    Source: Uzrad et al., DiffMoog: a Differentiable Modular Synthesizer for Sound Matching, arXiv 2401.12570.
    """

    def __init__(
        self,
        axis: Literal["time", "frequency"] = "time",
        max_n_fft: int = 2048,
        num_scales: int = 6,
        hop_lengths: Sequence[int] | None = None,
        normalized: bool = False,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        self.normalized = normalized
        self.axis = one_of("axis", axis, tuple(_AXES))
        self.ops = scales(max_n_fft, num_scales, hop_lengths)

    def features(self, audio: Tensor, peak: Tensor) -> tuple[Tensor, ...]:
        """Return each scale's cumulative power spectrogram."""
        return tuple(op(audio).cumsum(dim=_AXES[self.axis]) for op in self.ops)

    def compare(self, prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Return the mean absolute differences, summed over scales."""
        sizes = [op.n_fft for op in self.ops if isinstance(op, PowerSpectrogram)]
        weights = [1 / n_fft**2 if self.normalized else 1.0 for n_fft in sizes]
        terms = zip(weights, prediction, target, strict=True)
        return reduce(torch.add, (weight * mean_distance(own, other) for weight, own, other in terms))


class SpectralOptimalTransportLoss(ComparesFeatures, Loss, name="spectral_optimal_transport", takes=("waveform",)):
    """Wasserstein-1 distance of each frame's power spectrum as a distribution over frequency, averaged over frames.

    Waveforms (B, T) or (B, C, T), float32 or float64. The unit is the fraction of the Nyquist frequency by which energy
    must move: the distance of two sines above -60 dB is |f1 - f2| / (sample_rate / 2), for any levels. Levels are not
    compared: add a loss that compares them. The paper's own code uses the squared Wasserstein-2 distance.

    Source: Torres, Peeters, Richard, Unsupervised Harmonic Parameter Estimation Using Differentiable DSP
    and Spectral Optimal Transport, arXiv 2312.14507.
    """

    def __init__(self, n_fft: int = 2048, hop_length: int | None = None, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.spectrogram = PowerSpectrogram(n_fft, hop_length)

    def features(self, audio: Tensor, peak: Tensor) -> tuple[Tensor, ...]:
        """Return each frame's cumulative distribution over frequency."""
        own_peak = reference_peak(audio)[..., None]  # a distribution does not depend on the other sound
        power = self.spectrogram(audio) + _TINY_POWER * own_peak.square()
        return (torch.cumsum(power, dim=2) / power.sum(dim=2, keepdim=True),)

    def compare(self, prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Return the area between the distributions, whose last values are 1."""
        return mean_distance(prediction[0][..., :-1], target[0][..., :-1])
