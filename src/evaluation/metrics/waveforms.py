"""Metrics on samples: any change of phase, however inaudible, counts as an error."""

from torch import Tensor
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from src.evaluation.metrics.clips import checked_pair
from src.models.losses.sound.peak import reference_peak
from src.models.losses.sound.time_domain import ESRLoss


def si_sdr(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the scale-invariant signal-to-distortion ratio (B,) in dB of clips (B, T), without their means.

    Each clip is divided by its peak, so that the constant which bounds the ratio is relative to the level. Equal clips
    have about 100 dB, a silent prediction 0 dB. It does not depend on the sample rate.

    Source: Le Roux, Wisdom, Erdogan, Hershey, SDR: Half-Baked or Well Done?, arXiv 1811.02508.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    prediction, target = prediction / reference_peak(prediction), target / reference_peak(target)
    return scale_invariant_signal_distortion_ratio(prediction, target, zero_mean=True)


def esr(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the error-to-signal ratio (B,) of clips (B, T): energy of the difference / energy of the target.

    A silent target counts as -90 dB re full scale. It does not depend on the sample rate.

    Source: Wright, Valimaki, Perceptual Loss Function for Neural Modelling of Audio Systems, arXiv 1911.08922.
    """
    return ESRLoss().per_example(*checked_pair(prediction, target, sample_rate))
