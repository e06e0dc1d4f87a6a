"""Pictures of a model's answers and of a dataset's labels."""

import io
import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from src.synth.parameters import ParameterSpace
from src.utils.files import write_whole

matplotlib.use("agg")  # files only: no window system is asked for

_COLUMNS = 4


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write a picture, whole or not at all, in the format that the path's suffix names."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix("."), dpi=dpi)
    write_whole(path, content.getbuffer())


def _panels(space: ParameterSpace) -> tuple[Figure, list]:
    rows, columns = math.ceil(len(space) / _COLUMNS), min(len(space), _COLUMNS)
    figure = Figure(figsize=(3.2 * columns, 3.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[len(space) :]:
        unused.set_axis_off()
    return figure, list(axes)


def scatter_figure(space: ParameterSpace, truth: np.ndarray, predicted: np.ndarray) -> Figure:
    """Plot predicted against true values (n, P), a panel a parameter; on the diagonal all is right."""
    figure, axes = _panels(space)
    for at, spec in enumerate(space):
        axis = axes[at]
        axis.plot([spec.min, spec.max], [spec.min, spec.max], color="0.7", linewidth=1)
        axis.scatter(truth[:, at], predicted[:, at], s=4, alpha=0.5, edgecolors="none")
        axis.set(title=spec.name, xlabel=f"true {spec.unit}".strip(), ylabel="predicted")
        if spec.scale == "log":
            axis.set(xscale="log", yscale="log")
    return figure


def error_figure(space: ParameterSpace, errors: np.ndarray) -> Figure:
    """Plot how often each error (n, P), predicted minus true, occurs, a panel a parameter; the line is no error."""
    figure, axes = _panels(space)
    for at, spec in enumerate(space):
        axes[at].hist(errors[:, at], bins=31)
        axes[at].axvline(0.0, color="0.7", linewidth=1)
        axes[at].set(title=spec.name, xlabel=f"predicted - true {spec.unit}".strip(), ylabel="samples")
    return figure


def histogram_figure(space: ParameterSpace, values: np.ndarray) -> Figure:
    """Plot how often each value occurs (n, P), a panel a parameter, a bar a class."""
    figure, axes = _panels(space)
    for at, spec in enumerate(space):
        axes[at].hist(values[:, at], bins=min(spec.num_classes, 64))
        axes[at].set(title=spec.name, xlabel=spec.unit, ylabel="samples")
    return figure


def image_figure(space: ParameterSpace, images: np.ndarray, values: np.ndarray, columns: int = 4) -> Figure:
    """Show magnitude images (n, C, H, W) uint8, lowest frequency at the bottom, with their values (n, P)."""
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(3.2 * columns, 3.2 * rows), layout="constrained")
    for axis, image, row in zip(figure.subplots(rows, columns, squeeze=False).ravel(), images, values, strict=False):
        axis.imshow(image[0], origin="lower", aspect="auto", vmin=0, vmax=255, cmap="magma")
        axis.set_title(
            "\n".join(f"{name} {value:.3g}" for name, value in zip(space.names, row, strict=True)), fontsize=7
        )
        axis.set(xticks=[], yticks=[])
    return figure
