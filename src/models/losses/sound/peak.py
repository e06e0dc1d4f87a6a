"""The reference level of small constants, so that a loss does not depend on the level of its sounds."""

import torch
from torch import Tensor

_SILENCE = 1e-10  # -200 dB re full scale: float32 still holds powers relative to it


def reference_peak(audio: Tensor) -> Tensor:
    """Return the largest magnitude of audio (..., T) as (..., 1), or 1, full scale, for silence.

    It is constant for the gradient, since a loss that does not depend on the level does not depend on it.
    """
    peak = audio.detach().abs().amax(dim=-1, keepdim=True)
    return torch.where(peak > _SILENCE, peak, 1.0)
