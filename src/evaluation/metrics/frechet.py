"""The Frechet distance of two sets of sounds: how alike they are as sets, not clip by clip."""

from collections.abc import Callable

import torch
from torch import Tensor

from src.evaluation.metrics.clips import checked, require_rate, samples
from src.evaluation.metrics.mel import mel_power
from src.utils.errors import UserError

_BANDS = 64
_SMALLEST_POWER = 1e-10
Embedder = Callable[[Tensor], Tensor]  # clips (B, T) to embeddings (B, D)


def fad_logmel(prediction: Tensor, target: Tensor, sample_rate: int, embed: Embedder | None = None) -> float:
    """Return the Frechet audio distance of two sets of clips (N, T) and (M, T'), by default on `log_mel_statistics`.

    `embed` may be any function of clips (B, T) that returns (B, D). The value is not comparable with one on another
    embedding, such as VGGish's. Raises UserError for fewer than 2 D clips in a set.
    """
    sets = []
    for audio, name in ((prediction, "prediction"), (target, "target")):
        clips = checked(audio, name)
        sets.append(log_mel_statistics(clips, sample_rate) if embed is None else embed(clips))
    return frechet_distance(*sets)


def log_mel_statistics(audio: Tensor, sample_rate: int) -> Tensor:
    """Return (B, 128): mean and standard deviation over time of 64 mel bands in dB (50 ms frames) of clips (B, T)."""
    require_rate(sample_rate)
    power = mel_power(audio, sample_rate, samples(sample_rate, 50), samples(sample_rate, 10), _BANDS)
    level = 10 * power.clamp_min(_SMALLEST_POWER).log10()
    return torch.cat([level.mean(dim=1), level.std(dim=1, correction=0)], dim=1)


def frechet_distance(embeddings: Tensor, others: Tensor) -> float:
    """Return the squared Frechet distance of the normal distributions fitted to (N, D) and (M, D), at least 0.

    Computed on the CPU in float64 by eigendecompositions of symmetric matrices, which are never complex. It is biased
    upward by about 1 / N. Raises UserError for fewer than 2 D rows, whose covariance would be almost singular, and for
    values that are not finite.

    Source: Dowson, Landau, The Frechet Distance between Multivariate Normal Distributions, J. Multivariate Analysis
    12(3), 1982.
    """
    if embeddings.ndim != 2 or others.ndim != 2 or embeddings.shape[1] != others.shape[1]:
        raise UserError(
            f"embeddings: shapes {tuple(embeddings.shape)} and {tuple(others.shape)} given; give (N, D) and (M, D)"
        )
    count, dims = min(len(embeddings), len(others)), embeddings.shape[1]
    if count < 2 * dims:
        raise UserError(
            f"Frechet distance: {count} clips given, but embeddings of {dims} values need at least {2 * dims}; "
            "give more clips or an embedder with fewer values"
        )
    first, second = embeddings.detach().cpu().double(), others.detach().cpu().double()
    if not (first.isfinite().all() and second.isfinite().all()):
        raise UserError("embeddings: not finite; check the embedder")
    root = _square_root(first.T.cov())
    product = root @ second.T.cov() @ root
    overlap = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
    means = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    spreads = first.var(dim=0).sum() + second.var(dim=0).sum()
    return max(0.0, float(means + spreads - 2 * overlap))


def _square_root(matrix: Tensor) -> Tensor:
    """Return the square root of a symmetric matrix; eigenvalues that rounding made negative count as 0."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
