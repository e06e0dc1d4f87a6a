"""Loss on mel spectrograms, whose resolution is similar to that of the ear."""

from collections.abc import Sequence

import torch
from torch import Tensor

from src.models.losses.base import Loss, Reduction, require
from src.models.losses.sound.spectra import ComparesFeatures, mean_distance
from src.spectral.mel import mel_matrix
from src.spectral.power import PowerSpectrogram
from src.utils.errors import UserError

_TINY_POWER = 1e-10  # re the target's peak squared; magnitude 1e-5, HiFi-GAN's


class MelSpectralLoss(ComparesFeatures, Loss, name="mel_spectral", takes=("waveform",)):
    """Mean absolute difference of mel spectrograms of the magnitude, or of their natural logarithms.

    Waveforms (B, T) or (B, C, T) at `sample_rate` Hz, float32 or float64. The filters are those of the spectral front
    end (unit area, HTK scale), from `freq_min` Hz to the Nyquist frequency. Raises ValueError if a filter is too narrow
    to contain a bin.

    Source: Kong, Kim, Bae, HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
    Synthesis, arXiv 2010.05646.
    """

    def __init__(
        self,
        sample_rate: float,
        n_fft: int = 2048,
        hop_length: int | None = None,
        num_bands: int = 80,
        freq_min: float = 40.0,
        log: bool = True,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        require(n_fft <= 32768, "n_fft", n_fft, "it must be at most 32768")  # the filters are a matrix
        require(1 <= num_bands <= 512, "num_bands", num_bands, "it must be from 1 to 512")
        self.log = log
        self.spectrogram = PowerSpectrogram(n_fft, hop_length)
        try:
            filters = torch.from_numpy(mel_matrix(num_bands, n_fft, sample_rate, freq_min, 1.0)).float()
        except UserError as error:
            given = f"num_bands {num_bands}, n_fft {n_fft}, freq_min {freq_min}"
            raise ValueError(f"{given}: a filter has no bin; give fewer bands or a larger n_fft") from error
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)

    def features(self, audio: Tensor, peak: Tensor) -> tuple[Tensor, ...]:
        """Return the mel spectrogram (N, F, num_bands)."""
        magnitude = self.spectrogram(audio)[..., 1:].clamp_min(_TINY_POWER * peak.square()).sqrt()
        bands = magnitude @ self.filters.to(audio.dtype)
        return (bands.log() if self.log else bands,)

    def compare(self, prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Return the mean absolute difference."""
        return mean_distance(prediction[0], target[0])
