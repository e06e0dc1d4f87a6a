"""Pre-emphasis before any loss on waveforms, which gives the weak treble more weight."""

from typing import Any

import torch
from torch import Tensor

from src.models.losses.base import Loss, Reduction


class PreEmphasisLoss(Loss, name="pre_emphasis", takes=("waveform",)):
    """Another loss after the high-pass y[n] = x[n] - coefficient x[n - 1] on both waveforms.

    Waveforms (B, T) or (B, C, T), float32 or float64. The paper's coefficient is 0.85; 0.95 is also in use.
    Raises ValueError if `loss` does not take waveforms. The reduction of `loss` is not used.

    Source: Wright, Valimaki, Perceptual Loss Function for Neural Modelling of Audio Systems, arXiv 1911.08922.
    """

    def __init__(self, loss: Loss, coefficient: float = 0.95, reduction: Reduction = "mean"):
        super().__init__(reduction)
        if "waveform" not in loss.takes:
            raise ValueError(f"loss: {loss.label} takes {', '.join(loss.takes)}; give a loss that takes waveforms")
        self.loss, self.coefficient = loss, coefficient
        self.may_be_negative = loss.may_be_negative

    def prepared(self, target: Tensor) -> tuple[Any]:
        """Return the inner loss's prepared form of the filtered target."""
        return (self.loss.prepared(self._filter(target)),)

    def per_example(self, prediction: Tensor, target: Tensor | tuple[Any]) -> Tensor:
        """Return the inner loss (B,) of the filtered waveforms."""
        if isinstance(target, Tensor):
            target = self._filter(target)
        else:
            (target,) = target
        return self.loss.values(self._filter(prediction), target)

    def _filter(self, audio: Tensor) -> Tensor:
        return torch.cat([audio[..., :1], audio[..., 1:] - self.coefficient * audio[..., :-1]], dim=-1)
