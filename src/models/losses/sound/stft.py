"""Losses on STFT magnitudes: spectral convergence, log magnitudes, several resolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.models.losses.base import Loss, Reduction
from src.models.losses.sound.spectra import ComparesFeatures, mean_distance
from src.spectral.power import PowerSpectrogram

_TINY_POWER = 1e-8  # as in auraloss, re the target's peak squared: inaudible


class MultiResolutionSTFTLoss(ComparesFeatures, Loss, name="multi_resolution_stft", takes=("waveform",)):
    """Mean over resolutions of the weighted sum of spectral convergence, L1 of log magnitudes and L1 of magnitudes.

    Waveforms (B, T) or (B, C, T), float32 or float64. The defaults are those of the paper and of auraloss, and values
    equal those of auraloss for a target at full scale. Each spectrum is computed once for all terms. Raises ValueError
    if the three lists differ in length or no weight is above 0.

    Source: Yamamoto, Song, Kim, Parallel WaveGAN, arXiv 1910.11480.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = (1024, 2048, 512),
        hop_lengths: Sequence[int | None] = (120, 240, 50),
        window_lengths: Sequence[int | None] = (600, 1200, 240),
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        if not len(fft_sizes) == len(hop_lengths) == len(window_lengths) >= 1:
            raise ValueError(
                f"fft_sizes, hop_lengths, window_lengths: {len(fft_sizes)}, {len(hop_lengths)} and "
                f"{len(window_lengths)} given; give one of each per resolution"
            )
        if min(w_sc, w_log_mag, w_lin_mag) < 0 or not (w_sc or w_log_mag or w_lin_mag):
            raise ValueError(
                f"w_sc, w_log_mag, w_lin_mag: {w_sc}, {w_log_mag} and {w_lin_mag} given; give >= 0, and one > 0"
            )
        sizes = zip(fft_sizes, hop_lengths, window_lengths, strict=True)
        self.ops = nn.ModuleList(PowerSpectrogram(*size) for size in sizes)
        self.w_sc, self.w_log_mag, self.w_lin_mag = w_sc, w_log_mag, w_lin_mag

    def features(self, audio: Tensor, peak: Tensor) -> tuple[Tensor, ...]:
        """Return each resolution's magnitudes, then logarithms of power; terms with weight 0 are empty."""
        floor = _TINY_POWER * peak.square()
        found = []
        for op in self.ops:
            power = op(audio).clamp_min(floor)
            none = power[:, :0]
            found += [
                power.sqrt() if self.w_sc or self.w_lin_mag else none,
                power.log() if self.w_log_mag else none,
            ]
        return tuple(found)

    def compare(self, prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Return the weighted terms, averaged over resolutions."""
        total = prediction[0].new_zeros(len(prediction[0]))
        pairs = list(zip(prediction, target, strict=True))
        for (magnitude, wanted), (log_power, log_wanted) in zip(pairs[::2], pairs[1::2], strict=True):
            if self.w_sc:
                norms = [torch.linalg.vector_norm(values, dim=(1, 2)) for values in (magnitude - wanted, wanted)]
                total = total + self.w_sc * norms[0] / norms[1]
            if self.w_lin_mag:
                total = total + self.w_lin_mag * mean_distance(magnitude, wanted)
            if self.w_log_mag:
                total = total + self.w_log_mag / 2 * mean_distance(log_power, log_wanted)
        return total / len(self.ops)


class SpectralConvergenceLoss(MultiResolutionSTFTLoss, name="spectral_convergence", takes=("waveform",)):
    """Norm of the magnitudes' error / norm of the target's magnitudes; ignores weak parts, huge for silence.

    Waveforms (B, T) or (B, C, T), float32 or float64.

    Source: Arik, Jun, Diamos, Fast Spectrogram Inversion Using Multi-Head Convolutional Networks, arXiv 1808.06719.
    """

    def __init__(
        self,
        n_fft: int = 1024,
        hop_length: int | None = None,
        window_length: int | None = None,
        reduction: Reduction = "mean",
    ):
        super().__init__([n_fft], [hop_length], [window_length], 1.0, 0.0, 0.0, reduction)


class LogSTFTLoss(MultiResolutionSTFTLoss, name="log_stft", takes=("waveform",)):
    """Mean absolute difference of natural log magnitudes: weak parts count as much as strong parts.

    Waveforms (B, T) or (B, C, T), float32 or float64.

    Source: Arik, Jun, Diamos, Fast Spectrogram Inversion Using Multi-Head Convolutional Networks, arXiv 1808.06719.
    """

    def __init__(
        self,
        n_fft: int = 1024,
        hop_length: int | None = None,
        window_length: int | None = None,
        reduction: Reduction = "mean",
    ):
        super().__init__([n_fft], [hop_length], [window_length], 0.0, 1.0, 0.0, reduction)
