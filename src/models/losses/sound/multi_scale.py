"""The multi-scale spectral loss: spectrograms with several window lengths, to not depend on one resolution."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from src.models.losses.base import Loss, Reduction, one_of
from src.models.losses.sound.spectra import ComparesFeatures, mean_distance
from src.spectral.power import PowerSpectrogram

_TINY_POWER = 1e-10  # re the target's peak squared; magnitude 1e-5, as in DDSP


def scales(max_n_fft: int, num_scales: int, hop_lengths: Sequence[int] | None) -> nn.ModuleList:
    """Return a spectrogram per scale: n_fft is halved from scale to scale, hops are a quarter unless given."""
    if not 1 <= num_scales <= 20 or max_n_fft % 2**num_scales:
        raise ValueError(
            f"max_n_fft: {max_n_fft} cannot be halved into {num_scales} even sizes; "
            "give a power of two, or fewer num_scales"
        )
    n_ffts = [max_n_fft // 2**at for at in range(num_scales)]
    if hop_lengths is None:
        hop_lengths = [max(n_fft // 4, 1) for n_fft in n_ffts]
    if len(hop_lengths) != num_scales:
        raise ValueError(f"hop_lengths: {len(hop_lengths)} given for {num_scales} scales; give one per scale")
    return nn.ModuleList(PowerSpectrogram(*sizes) for sizes in zip(n_ffts, hop_lengths, strict=True))


class MultiScaleSpectralLoss(ComparesFeatures, Loss, name="multi_scale_spectral", takes=("waveform",)):
    """Weighted sum over scales of the mean distances of magnitudes and of log magnitudes.

    Waveforms (B, T) or (B, C, T), float32 or float64. A distance is the p-norm with the mean over frames
    and bins instead of the sum (p = 1: mean absolute difference). `power` 2 compares power spectra
    instead of magnitudes; the logarithm (natural) is always of the magnitude, at least 1e-5 of the target's
    peak. Scales are summed, not averaged, as published. In the paper both weights are 1; the default here omits the
    logarithm, which depends on the noise floor as much as on the sound.

    Source: Engel, Hantrakul, Gu, Roberts, DDSP: Differentiable Digital Signal Processing, arXiv 2001.04643.
    """

    def __init__(
        self,
        max_n_fft: int = 2048,
        num_scales: int = 6,
        hop_lengths: Sequence[int] | None = None,
        mag_w: float = 1.0,
        logmag_w: float = 0.0,
        p: float = 1.0,
        power: int = 1,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        self.ops = scales(max_n_fft, num_scales, hop_lengths)
        self.n_ffts = [op.n_fft for op in self.ops]
        self.hop_lengths = [op.hop_length for op in self.ops]
        self.mag_w, self.logmag_w, self.p = mag_w, logmag_w, p
        self.power = one_of("power", power, (1, 2))
        if p < 1:
            raise ValueError(f"p: {p} given; it must be at least 1, since the gradient would be infinite at a match")
        if min(mag_w, logmag_w) < 0 or not (mag_w or logmag_w):
            raise ValueError(f"mag_w, logmag_w: {mag_w} and {logmag_w} given; they must be at least 0, and one above 0")

    def features(self, audio: Tensor, peak: Tensor) -> tuple[Tensor, ...]:
        """Return each scale's spectrograms with a weight: magnitude or power, then the logarithm of the power."""
        floor = _TINY_POWER * peak.square()
        found = []
        for op in self.ops:
            power = op(audio)
            safe = power if self.power == 2 and not self.logmag_w else power.clamp_min(floor)
            if self.mag_w:
                found.append(power if self.power == 2 else safe.sqrt())
            if self.logmag_w:
                found.append(safe.log())
        return tuple(found)

    def compare(self, prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Return the weighted distances, summed over scales and terms."""
        weights = [weight for weight in (self.mag_w, self.logmag_w / 2) if weight] * len(self.ops)
        terms = zip(weights, prediction, target, strict=True)
        return reduce(torch.add, (weight * mean_distance(own, other, self.p) for weight, own, other in terms))
