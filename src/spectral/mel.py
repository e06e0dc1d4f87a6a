"""Mel filters: triangles of unit area on the HTK scale."""

import numpy as np

from src.utils.errors import UserError


def hz_to_mel(frequency: np.ndarray | float) -> np.ndarray:
    """Return mel = 1127 ln(1 + f / 700) (Young et al., The HTK Book)."""
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Return the frequency in Hz, the inverse of `hz_to_mel`."""
    return 700.0 * np.expm1(np.asarray(mel) / 1127.0)


def mel_centres(num_bands: int, freq_min: float, freq_max: float) -> np.ndarray:
    """Return the centre frequencies of mel bands, (num_bands,) Hz."""
    return _edges(num_bands, freq_min, freq_max)[1:-1]


def _edges(num_bands: int, freq_min: float, freq_max: float) -> np.ndarray:
    return mel_to_hz(np.linspace(hz_to_mel(freq_min), hz_to_mel(freq_max), num_bands + 2))


def mel_matrix(num_bands: int, n_fft: int, sample_rate: float, freq_min: float, freq_max_ratio: float) -> np.ndarray:
    """Return (num_bands, n_fft // 2) float64 weights over bins 1 .. n_fft // 2; each row sums to 1.

    Raises UserError if a triangle is too narrow to contain a bin, since its row would always be black, or if `freq_min`
    is not below the highest frequency.
    """
    freq_max = freq_max_ratio * sample_rate / 2
    if freq_min >= freq_max:
        raise UserError(
            f"spectral.freq_min: {freq_min:g} Hz is not below the highest frequency, {freq_max:g} Hz; "
            "lower it or raise spectral.freq_max_ratio"
        )
    edges = _edges(num_bands, freq_min, freq_max)
    bins = np.arange(1, n_fft // 2 + 1) * sample_rate / n_fft
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    area = weights.sum(axis=1, keepdims=True)
    if (area < 1e-9).any():  # by rounding, a bin on an edge has a weight of 1e-16
        band = int(np.argmin(area))
        raise UserError(
            f"spectral: mel band {band} ({edges[band]:.0f}..{edges[band + 2]:.0f} Hz) has no bin of n_fft {n_fft}; "
            "raise spectral.n_fft or spectral.freq_min, or lower spectral.height"
        )
    return weights / area
