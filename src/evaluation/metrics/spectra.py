"""Metrics on magnitude spectra: phases do not count, levels do."""

import torch
from torch import Tensor

from src.evaluation.metrics.clips import checked_pair, samples
from src.models.losses.sound.stft import MultiResolutionSTFTLoss, SpectralConvergenceLoss
from src.spectral.power import PowerSpectrogram

_FLOOR = 1e-8  # of the target's largest power: 80 dB
_SMALLEST_POWER = 1e-10


def lsd(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the log-spectral distance (B,) in dB of clips (B, T).

    It is the root mean square over the bins of a frame of the difference in dB, averaged over frames of 46 ms with a
    hop of a quarter frame. Both spectra are at least -80 dB re the target's largest bin.

    Source: Gray, Markel, Distance Measures for Speech Processing, IEEE Trans. ASSP 24(5), 1976.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    spectrogram = PowerSpectrogram(2 * samples(sample_rate, 23)).to(prediction.device)
    own, other = spectrogram(prediction), spectrogram(target)
    floor = (other.amax(dim=(1, 2), keepdim=True) * _FLOOR).clamp_min(_SMALLEST_POWER)
    difference = 10 * (torch.maximum(own, floor).log10() - torch.maximum(other, floor).log10())
    return difference.square().mean(dim=2).sqrt().mean(dim=1)


def multi_resolution_stft(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the multi-resolution STFT distance (B,) of clips (B, T), with the settings of the paper and of auraloss.

    It is the mean over windows of 600, 1,200 and 240 samples, at any rate, of spectral convergence + mean absolute
    difference of natural log magnitudes. Magnitudes are at least 1e-4 of the target's peak.

    Source: Yamamoto, Song, Kim, Parallel WaveGAN, arXiv 1910.11480.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    return MultiResolutionSTFTLoss().to(prediction.device).per_example(prediction, target)


def spectral_convergence(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Return the norm of the magnitudes' error / norm of the target's magnitudes (B,) of clips (B, T).

    Windows of 1,024 samples at any rate. A silent target counts as magnitudes of 1e-4.

    Source: Arik, Jun, Diamos, Fast Spectrogram Inversion Using Multi-Head Convolutional Networks, arXiv 1808.06719.
    """
    prediction, target = checked_pair(prediction, target, sample_rate)
    return SpectralConvergenceLoss().to(prediction.device).per_example(prediction, target)
