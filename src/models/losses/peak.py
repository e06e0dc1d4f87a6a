"""The level that small constants are relative to, so that a loss does not change with the level of its sounds."""

import torch
from torch import Tensor

_SILENCE = 1e-10  # -200 dB re full scale: float32 still holds powers relative to it


def reference_peak(audio: Tensor) -> Tensor:
    """Return the largest magnitude of audio (..., T) as (..., 1), and 1, full scale, for silence.

    It is a constant to the gradient: a loss that is the same at every level does not change with it.
    """
    peak = audio.detach().abs().amax(dim=-1, keepdim=True)
    return torch.where(peak > _SILENCE, peak, 1.0)
