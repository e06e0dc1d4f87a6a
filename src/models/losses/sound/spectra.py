"""The base class of losses on spectra."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from src.models.losses.sound.peak import reference_peak


class ComparesFeatures:
    """The base of losses on features of each waveform: channels, level, and targets that are prepared once.

    A subclass is also a `Loss`, and has `features(audio (N, T), peak (N, 1, 1)) -> tuple of (N, ...)` and
    `compare(features, features) -> (N,)`; N is the number of channels of all examples. `peak` is that of the target,
    for both waveforms: lower limits are relative to it, so that the loss does not depend on the level.
    """

    features: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    compare: Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]

    def prepared(self, target: Tensor) -> tuple[Tensor, ...]:
        """Return the features of a target (B, T) or (B, C, T), then its peaks (N, 1, 1)."""
        rows = _rows(target)
        peak = reference_peak(rows)[..., None]
        return *self.features(rows, peak), peak

    def per_example(self, prediction: Tensor, target: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Return the losses (B,) of waveforms (B, T) or (B, C, T); the target may be a result of `prepare`."""
        *wanted, peak = target if isinstance(target, tuple) else self.prepared(target)
        rows = _rows(prediction)
        if len(rows) != len(peak):
            raise ValueError(
                f"prediction: waveforms {tuple(rows.shape)} given, but the prepared target has ({len(peak)}, ...); "
                "prepare the target from audio of the prediction's shape"
            )
        features = self.features(rows, peak)
        for own, other in zip(features, wanted, strict=True):
            if own.shape != other.shape:
                raise ValueError(
                    f"prediction: features {tuple(own.shape)}, but the prepared target has {tuple(other.shape)}; "
                    "prepare the target from audio of the prediction's shape"
                )
        return self.compare(features, wanted).view(len(prediction), -1).mean(dim=1)


def mean_distance(features: Tensor, others: Tensor, p: float = 1.0) -> Tensor:
    """Return (N,), the p-norm of the difference of (N, ...), with the mean instead of the sum."""
    error = features - others
    every = tuple(range(1, error.ndim))
    if p == 1:
        return error.abs().mean(dim=every)
    return torch.linalg.vector_norm(error, p, dim=every) / error[0].numel() ** (1.0 / p)


def _rows(audio: Tensor) -> Tensor:
    """Return audio (B, T) or (B, C, T) as (B or B C, T)."""
    return audio.reshape(-1, audio.shape[-1])
