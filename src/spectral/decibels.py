"""From the levels of a magnitude image back to dB."""

import numpy as np


def to_decibels(images: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Map images (n, ...) in [0, 1] to dB; `scale` (n, 2) is the dB value of 0 and of 1."""
    shape = (len(scale), *[1] * (images.ndim - 1))
    low, high = scale[:, 0].reshape(shape), scale[:, 1].reshape(shape)
    return low + images * (high - low)
