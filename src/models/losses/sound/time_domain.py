"""Losses on the samples of waveforms, relative to the target, for effects and for separation.

None of them depends on the level of the sounds, since waveforms are first divided by their peak.
"""

import torch
from torch import Tensor

from src.models.losses.base import Loss
from src.models.losses.sound.peak import reference_peak

_SILENT_POWER = 1e-9  # of a silent target, -90 dB re full scale; a sound of less than 1e9 samples is above it
_ROUNDING_POWER = 1e-14  # -140 dB re the peak: the resolution of float32


class ESRLoss(Loss, name="esr", takes=("waveform",)):
    """Error-to-signal ratio: energy of the difference over energy of the target.

    Waveforms (B, T) or (B, C, T), float32 or float64. A silent target counts as -90 dB re full scale.

    Source: Wright, Valimaki, Perceptual Loss Function for Neural Modelling of Audio Systems, arXiv 1911.08922.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the ratios (B,), averaged over channels."""
        peak = reference_peak(target)
        target = target / peak
        error = prediction / peak - target
        return _over_channels(_power(error) / _power(target).clamp_min(_SILENT_POWER))


class DCLoss(Loss, name="dc", takes=("waveform",)):
    """Squared difference of the means over the target's mean square: the error by a constant offset.

    Waveforms (B, T) or (B, C, T), float32 or float64. A silent target counts as -90 dB re full scale.

    Source: Wright, Valimaki, Perceptual Loss Function for Neural Modelling of Audio Systems, arXiv 1911.08922.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the ratios (B,), averaged over channels."""
        peak = reference_peak(target)
        target = target / peak
        offset = (prediction / peak - target).mean(dim=-1)
        return _over_channels(offset.square() / _power(target).clamp_min(_SILENT_POWER))


class SISDRLoss(Loss, name="si_sdr", takes=("waveform",)):
    """Negative scale-invariant signal-to-distortion ratio in dB, of waveforms without their means.

    Waveforms (B, T) or (B, C, T), float32 or float64. A match gives about
    -120 dB, a silent prediction 0 dB, a silent target about +130 dB.

    Source: Le Roux, Wisdom, Erdogan, Hershey, SDR: Half-Baked or Well Done?, arXiv 1811.02508.
    """

    may_be_negative = True

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the negative ratios (B,), averaged over channels."""
        prediction, target = _without_mean(prediction), _without_mean(target)
        scale = (prediction * target).mean(dim=-1, keepdim=True) / _power(target)[..., None].clamp_min(_SILENT_POWER)
        signal = scale * target
        error, kept = (torch.log10(_power(part) + _ROUNDING_POWER) for part in (prediction - signal, signal))
        return _over_channels(10 * (error - kept))


def _power(audio: Tensor) -> Tensor:
    return audio.square().mean(dim=-1)


def _without_mean(audio: Tensor) -> Tensor:
    """Return audio without its mean, at a peak of 1; zeros for a constant, where only rounding errors would remain."""
    centred = audio - audio.mean(dim=-1, keepdim=True)
    peak = reference_peak(centred)
    rounding = 16 * torch.finfo(audio.dtype).eps * audio.detach().abs().amax(dim=-1, keepdim=True)
    return torch.where(peak <= rounding, 0.0 * centred, centred / peak)


def _over_channels(values: Tensor) -> Tensor:
    return values if values.ndim == 1 else values.mean(dim=1)
