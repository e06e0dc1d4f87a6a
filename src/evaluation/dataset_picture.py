"""A picture of a dataset's first images, on the axes of a spectrogram: Hz, seconds and dB."""

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from src.data.spec import DatasetSpec
from src.evaluation.image_axes import image_extent, name_mel_bands
from src.parameters.space import ParameterSpace
from src.spectral.decibels import to_decibels
from src.utils.table import plain

matplotlib.use("agg")  # for files; needs no window system

_COLUMNS = 4


def dataset_figure(spec: DatasetSpec, images: np.ndarray, values: np.ndarray, scale: np.ndarray) -> Figure:
    """Plot the magnitude channel of images (n, C, H, W) uint8, each below its parameter values (n, P).

    `scale` (n, 2) is the dB range of each image. If the range is empty, as in older files, colours are byte levels; if
    the front end is unknown, the axes count rows and frames.
    """
    rows = math.ceil(len(images) / _COLUMNS)
    lines = math.ceil(len(spec.space) / 2)
    figure = Figure(figsize=(3.1 * _COLUMNS + 0.6, (2.3 + 0.13 * lines) * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True, sharey=True)
    low, high = scale[:, 0], scale[:, 1]
    in_decibels = bool((high > low).any())
    pixels = to_decibels(images[:, 0] / 255.0, scale) if in_decibels else images[:, 0].astype(float)
    limits = (low.min(), high.max()) if in_decibels else (0, 255)
    extent, labels = image_extent(spec, images.shape[2:])
    for axis, image, row in zip(axes.ravel(), pixels, values, strict=False):
        shown = axis.imshow(
            image, origin="lower", aspect="auto", extent=extent, vmin=limits[0], vmax=limits[1], cmap="magma"
        )
        axis.set_title(_describe(spec.space, row), fontsize=7, parse_math=False)
    for unused in axes.ravel()[len(images) :]:
        unused.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel(labels[0])
    for axis in axes[:, 0]:
        axis.set_ylabel(labels[1])
    name_mel_bands(axes[0, 0], spec)
    figure.colorbar(shown, ax=axes, label="dB re full scale" if in_decibels else "byte level", aspect=40, pad=0.01)
    channel = spec.origin.spectral.channels[0] if spec.origin.spectral else "first channel"
    figure.suptitle(
        f"{plain(spec.name)}: {channel} of the first {len(images)} training sounds", fontsize=10, parse_math=False
    )
    return figure


def _describe(space: ParameterSpace, row: np.ndarray) -> str:
    """Return a sound's parameters, two per line."""
    texts = []
    for spec, value in zip(space, row, strict=True):
        shown = spec.format(value) if spec.values else f"{value:.4g}"
        texts.append(f"{spec.name} {shown}")
    return "\n".join("   ".join(texts[at : at + 2]) for at in range(0, len(texts), 2))
