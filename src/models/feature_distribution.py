"""The distribution of images and their features over validation sounds: how unlike them is another sound?

A sound is described by the features of the network and by the profile of its image: the means of its rows and of its
columns. Training makes features insensitive to what does not vary in the training sounds, such as a fixed pitch; the
profile is not. Distances are Mahalanobis distances from the mean, relative to the one that 1 % of validation sounds
exceed.

Source: Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, arXiv 1807.03888.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from src.models.heads.calibration import conformal_quantile
from src.utils.errors import UserError

LEVEL = 0.99  # share of sounds like those of the validation split that are within the limit
LEAST = math.ceil(1.0 / (1.0 - LEVEL))  # fewer sounds do not determine the limit
_MOST = 4096  # they determine the share beyond the limit to 0.2 %, and take 50 ms for 64 features
_CELLS = 32  # of the rows, and of the columns: with 16, weak noise is often not recognised
_SMALLEST = 1e-3  # deviation of a feature, relative to their mean: one that is never active has none
_KEYS = ("mean", "whitening", "limit")


def described(image: Tensor, features: Tensor) -> Tensor:
    """Return descriptions (B, D) of images (B, C, H, W) and their features: the features and the profile.

    Features of each pixel, (B, D, H, W), are averaged.
    """
    profiles = []
    for along in (3, 2):
        means = image.detach().float().mean(dim=along)  # (B, C, W) or (B, C, H)
        weights = _pooling(means.shape[2], means.device)
        profiles.append((means[..., None] * weights).sum(dim=2).flatten(1))  # not a product of matrices: it may be half
    return torch.cat([of_image(features.detach().float()), *profiles], dim=1)


def of_image(features: Tensor) -> Tensor:
    """Return the features (B, D) of images, as the mean of those of the pixels if they are (B, D, H, W)."""
    return features.mean(dim=(2, 3)) if features.ndim == 4 else features


def _pooling(size: int, device: torch.device) -> Tensor:
    """Return weights (size, cells) that average neighbours as adaptive_avg_pool1d, which MPS lacks for all sizes.

    They are computed on the device, so that no step waits for it.
    """
    position, cell = torch.arange(size, device=device)[:, None], torch.arange(_CELLS, device=device)
    begin, end = cell * size // _CELLS, ((cell + 1) * size + _CELLS - 1) // _CELLS
    inside = ((position >= begin) & (position < end)).float()
    return inside / inside.sum(dim=0)


def description_size(feature_dim: int, channels: int) -> int:
    """Return the size D of `described`."""
    return feature_dim + 2 * _CELLS * channels


@dataclass(frozen=True)
class FeatureDistribution:
    """The mean (D,) of descriptions, a matrix (D, D) that whitens them, the limit () of distances: on the CPU."""

    mean: Tensor
    whitening: Tensor
    limit: Tensor

    def distances(self, features: Tensor) -> Tensor:
        """Return the distances (B,) float32, on the CPU, of descriptions (B, D): above 1 a sound is unlike."""
        centred = features.detach().float().cpu() - self.mean
        return torch.linalg.vector_norm(centred @ self.whitening, dim=1) / self.limit

    def to_dict(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint holds."""
        return {name: getattr(self, name) for name in _KEYS}


class ValidationFeatures(Metric):
    """The descriptions of a validation's sounds, over all processes, and the distribution that fits them.

    `count` is the expected number of sounds; of more than 4,096 every n-th is used.
    """

    full_state_update = False
    features: Any  # a list of (n, D); over several processes one tensor

    def __init__(self, size: int, count: int):
        super().__init__()
        self.size, self.every = size, max(1, count // _MOST)
        self.add_state("features", [], dist_reduce_fx="cat")

    def update(self, features: Tensor) -> None:
        """Add the descriptions (B, D) of a batch."""
        self.features.append(features.detach().float()[:: self.every])

    def skip(self) -> None:
        """Add no samples, since a process without samples also takes part in gathering them."""
        self.features.append(torch.empty(0, self.size, device=self.device))

    def compute(self) -> dict[str, Tensor]:
        """Return the fields of FeatureDistribution by name; none if the sounds do not determine them."""
        return fit(torch.cat(self.features) if isinstance(self.features, list) else self.features)


def fit(features: Tensor) -> dict[str, Tensor]:
    """Return the fields of FeatureDistribution for features (n, D), computed on the CPU in float64.

    The limit is a quantile of distances of each half of the sounds from the distribution of the other half, so that it
    also holds for new sounds. It is determined by at least 100 sounds whose features are finite and vary.
    """
    features = features.cpu().double()
    if len(features) < LEAST or not features.isfinite().all() or not (features != features[0]).any():
        return {}
    halves = features[::2], features[1::2]
    crossed = [_distances(own, *_whitening(other)) for own, other in (halves, halves[::-1])]
    limit = conformal_quantile(torch.cat(crossed).sort().values[:, None], LEVEL)[0]
    mean, whitening = _whitening(features)
    found = {"mean": mean.float(), "whitening": whitening.float(), "limit": limit.float()}
    return found if all(value.isfinite().all() for value in found.values()) and limit > 0 else {}


def _whitening(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) of features (n, D) and a matrix W (D, D) with W W^T = the inverse of their covariance.

    The covariance is shrunk with each feature in units of its deviation.
    """
    mean = features.mean(dim=0)
    deviation = (features - mean).square().mean(dim=0).sqrt()
    deviation = deviation.clamp_min(_SMALLEST * deviation.mean())
    covariance = shrunk_covariance((features - mean) / deviation)
    lower = torch.linalg.cholesky(covariance)
    unit = torch.eye(len(covariance), dtype=covariance.dtype)
    return mean, torch.linalg.solve_triangular(lower, unit, upper=False).T / deviation[:, None]


def _distances(features: Tensor, mean: Tensor, whitening: Tensor) -> Tensor:
    return torch.linalg.vector_norm((features - mean) @ whitening, dim=1)


def shrunk_covariance(centred: Tensor) -> Tensor:
    """Return the covariance (D, D) of centred features (n, D), shrunk towards a multiple of the unit matrix.

    Features that are never active, or fewer sounds than features, make the plain covariance singular. At least a
    1e-9th is shrunk, the resolution of features in float32.

    Source: Ledoit & Wolf, A well-conditioned estimator for large-dimensional covariance matrices, J. Multivariate
    Analysis 88, 2004, section 3.3.
    """
    count, size = centred.shape
    covariance = centred.T @ centred / count
    scale = covariance.trace() / size
    unit = torch.eye(size, dtype=centred.dtype)
    distance = (covariance - scale * unit).square().sum()
    fourth = centred.square().sum(dim=1).square().mean()
    error = (fourth - covariance.square().sum()) / count  # the variance of the elements of the plain covariance
    shrinkage = (error / distance.clamp_min(torch.finfo(centred.dtype).tiny)).clamp(1e-9, 1.0)
    return (1.0 - shrinkage) * covariance + shrinkage * scale * unit


def distribution_of(checkpoint: Mapping[str, Any], size: int) -> FeatureDistribution | None:
    """Return the distribution of descriptions (`size`,) that a checkpoint holds, None for one of an older version."""
    values = checkpoint.get("feature_distribution", {})
    if not values:
        return None
    shapes = {"mean": (size,), "whitening": (size, size), "limit": ()}
    if set(values) != set(_KEYS):
        raise UserError(f"feature_distribution: keys {', '.join(sorted(values))} given; {', '.join(_KEYS)} are needed")
    for name, shape in shapes.items():
        value = values[name]
        if tuple(value.shape) != shape or value.dtype != torch.float32 or not value.isfinite().all():
            given = f"a tensor {tuple(value.shape)} {value.dtype}"
            raise UserError(f"feature_distribution.{name}: {given} given; finite numbers {shape} float32 are needed")
    if values["limit"] <= 0:
        raise UserError(f"feature_distribution.limit: {float(values['limit']):g} given; it must be above 0")
    return FeatureDistribution(**values)
