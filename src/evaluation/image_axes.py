"""Where the pixels of a dataset's images lie: Hz and seconds, or rows and frames if the front end is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.spec import DatasetSpec
from src.spectral.mel import hz_to_mel, mel_centres, mel_to_hz
from src.utils.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # the app starts without it

_MEL_TICKS = 5


def image_extent(spec: DatasetSpec, size: tuple[int, int]) -> tuple[tuple[float, float, float, float], tuple[str, str]]:
    """Return where an image's edges lie on its axes (left, right, bottom, top), and the axes' labels."""
    height, width = size
    counted = (-0.5, width - 0.5, -0.5, height - 0.5), ("frame", "row")
    config, sample_rate, duration = spec.origin.spectral, spec.origin.sample_rate, spec.origin.duration
    if config is None or not sample_rate or not duration:
        return counted
    try:
        hop = config.hop_samples(config.n_window, round(duration * sample_rate)) / sample_rate
    except UserError:  # another program's JSON, whose frames do not fit its clips
        return counted
    left = config.n_window / sample_rate / 2 - hop / 2  # a pixel is centred on its frame
    bottom, top = -0.5, height - 0.5
    if config.type == "stft":  # row 0 is bin 1
        bottom, top = (edge * sample_rate / config.n_fft for edge in (0.5, height + 0.5))
    return (left, left + width * hop, bottom, top), ("time (s)", "frequency (Hz)")


def name_mel_bands(axis: Axes, spec: DatasetSpec) -> None:
    """Label a frequency axis with the centre frequencies of some mel bands."""
    config, sample_rate = spec.origin.spectral, spec.origin.sample_rate
    if config is None or config.type != "mel" or not sample_rate:
        return
    centres = mel_centres(config.height, config.freq_min, config.freq_max_ratio * sample_rate / 2)
    rows = np.unique(np.linspace(0, config.height - 1, _MEL_TICKS).round().astype(int))
    axis.set_yticks(rows, [f"{centres[row]:.0f}" for row in rows])


def pixel_edges(spec: DatasetSpec, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
    """Return the edges of rows (H + 1,) and frames (W + 1,), and their units: Hz and s, or row and frame.

    Mel bands overlap; the edge between two is halfway between their centres on the mel scale.
    """
    height, width = size
    (left, right, bottom, top), labels = image_extent(spec, size)
    rows, frames = np.linspace(bottom, top, height + 1), np.linspace(left, right, width + 1)
    config = spec.origin.spectral
    if labels[0] == "frame" or config is None:
        return rows, frames, ("row", "frame")
    if config.type == "mel":
        highest = config.freq_max_ratio * (spec.origin.sample_rate or 0.0) / 2
        halves = np.linspace(hz_to_mel(config.freq_min), hz_to_mel(highest), 2 * height + 3)
        rows = mel_to_hz(halves[1:-1:2])
    return rows, frames, ("Hz", "s")


def picture_axes(spec: DatasetSpec, size: tuple[int, int]) -> dict[str, Any]:
    """Return the axes x and y of an image as data of a page: s and Hz, or frames and rows where these are not known."""
    rows, frames, (row_unit, frame_unit) = pixel_edges(spec, size)
    config, in_hz = spec.origin.spectral, row_unit == "Hz"
    mel = in_hz and config is not None and config.type == "mel"
    y_title, x_title = ("frequency, Hz", "time, s") if in_hz else (row_unit, frame_unit)
    return {
        "x": {"min": float(frames[0]), "max": float(frames[-1]), "title": x_title, "seconds": in_hz},
        "y": {"min": float(rows[0]), "max": float(rows[-1]), "title": y_title, "mel": mel},
    }


def known_axes(spec: DatasetSpec) -> dict[str, Any] | None:
    """Return the `picture_axes` of a dataset's spectral images; None if they are not s and Hz."""
    axes = picture_axes(spec, spec.image_shape[1:])
    return axes if axes["x"]["seconds"] else None
