"""The mean of two images as powers: nearly the image of both sounds at once, not of a sound of the mean parameters."""

import numpy as np

from src.spectral.config import SpectralConfig
from src.utils.errors import UserError

_NO_POWER = ("instantaneous_frequency", "group_delay")


def require_power(spectral: SpectralConfig | None, has_ranges: bool = True) -> SpectralConfig:
    """Return the front end of images whose levels are powers in known dB ranges; raise UserError for others."""
    if spectral is None or not has_ranges:
        raise UserError(
            "balance.method: interpolate given, but the levels of these images are not known in dB; give oversample"
        )
    other = [channel for channel in spectral.channels if channel in _NO_POWER]
    if other:
        raise UserError(f"balance.method: interpolate given, but channel {other[0]} holds no powers; give oversample")
    return spectral


def mean_images(
    spectral: SpectralConfig, images: tuple[np.ndarray, np.ndarray], scales: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean powers of two times n images as images (n, C, H, W) uint8 and dB ranges (n, 2) float32.

    `images` are (n, C, H, W) uint8 and `scales` their dB ranges (n, 2), those of the first channel; the others have the
    range of the front end. A level of 0 counts as the power at the lower end of the range.
    """
    powers = [10.0 ** (_decibels(spectral, *given) / 10.0) for given in zip(images, scales, strict=True)]
    decibels = 10.0 * np.log10((powers[0] + powers[1]) / 2.0)
    scale = scales[0]
    if spectral.image_scaling == "per_sample":
        scale = np.stack([decibels[:, 0].min(axis=(1, 2)), decibels[:, 0].max(axis=(1, 2))], axis=1)
    low, high = _range(spectral, scale, images[0].shape[1])
    levels = np.clip((decibels - low) / np.maximum(high - low, 1e-6), 0.0, 1.0)
    return np.round(levels * 255.0).astype(np.uint8), scale.astype(np.float32)


def _decibels(spectral: SpectralConfig, images: np.ndarray, scale: np.ndarray) -> np.ndarray:
    low, high = _range(spectral, scale, images.shape[1])
    return low + images / 255.0 * (high - low)


def _range(spectral: SpectralConfig, scale: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the dB values of levels 0 and 255, (n, C, 1, 1) float64 each."""
    ends = np.empty((2, len(scale), channels))
    ends[0], ends[1] = spectral.floor_db, spectral.ceil_db
    ends[:, :, 0] = scale.T
    return ends[0][..., None, None], ends[1][..., None, None]
