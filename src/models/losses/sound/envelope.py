"""Loss on the temporal envelope: the level over time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.models.losses.base import Loss, Reduction
from src.models.losses.sound.spectra import ComparesFeatures, mean_distance

_TINY_POWER = 1e-10  # re the target's peak squared, -100 dB


class EnvelopeLoss(ComparesFeatures, Loss, name="envelope", takes=("waveform",)):
    """Mean absolute difference of the root mean squares of frames, independent of pitch and phase.

    Waveforms (B, T) or (B, C, T), float32 or float64; frame and hop in samples, by default half a frame.
    The last frame is padded with zeros.

    Source: Lerch, An Introduction to Audio Content Analysis, Wiley-IEEE Press 2012, section 4.3.
    """

    def __init__(self, frame_length: int = 1024, hop_length: int | None = None, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.frame_length = frame_length
        self.hop_length = max(frame_length // 2, 1) if hop_length is None else hop_length
        if min(self.frame_length, self.hop_length) < 1:
            raise ValueError(
                f"frame_length, hop_length: {self.frame_length} and {self.hop_length} given; both must be at least 1"
            )

    def features(self, audio: Tensor, peak: Tensor) -> tuple[Tensor, ...]:
        """Return the envelope (N, F), full scale +-1."""
        after_first = max(audio.shape[1] - self.frame_length, 0)
        length = -(-after_first // self.hop_length) * self.hop_length + self.frame_length
        squares = nn.functional.pad(audio.square(), (0, length - audio.shape[1]))
        power = nn.functional.avg_pool1d(squares[:, None], self.frame_length, self.hop_length)[:, 0]
        return (torch.sqrt(power.clamp_min(_TINY_POWER * peak[..., 0].square())),)

    def compare(self, prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        """Return the mean absolute difference."""
        return mean_distance(prediction[0], target[0])
