"""Plots of a model's predictions and of a dataset's labels."""

import io
import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.evaluation.confusion import category_names, count_pairs, nearest_category
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.files import write_atomic
from src.utils.table import plain

matplotlib.use("agg")  # for files; needs no window system

_COLUMNS = 4
_NAMED = 12  # categories whose names fit on an axis
_DRAWN = 256  # categories that a table of a few hundred pixels can show


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write a figure, completely or not at all, in the format of the path's suffix."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix("."), dpi=dpi)
    write_atomic(path, content.getbuffer())


def _panels(space: ParameterSpace) -> tuple[Figure, list[Axes]]:
    rows, columns = math.ceil(len(space) / _COLUMNS), min(len(space), _COLUMNS)
    figure = Figure(figsize=(3.2 * columns, 3.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[len(space) :]:
        unused.set_axis_off()
    return figure, list(axes)


def _name(axis: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Set the title and labels as plain text, in which a dollar sign does not begin a formula."""
    axis.set_title(plain(title), parse_math=False)
    axis.set_xlabel(plain(xlabel.strip()), parse_math=False)
    axis.set_ylabel(ylabel)


def scatter_figure(space: ParameterSpace, truth: np.ndarray, predicted: np.ndarray) -> Figure:
    """Plot predicted against true values (n, P), one panel per parameter; correct predictions are on the diagonal.

    For a categorical parameter, the panel shows the fractions of each true category's sounds by predicted category,
    unless it has more than 256 categories.
    """
    figure, axes = _panels(space)
    for at, spec in enumerate(space):
        axis = axes[at]
        if spec.kind == "categorical" and spec.num_classes <= _DRAWN:
            _draw_confusion(axis, spec, truth[:, at], predicted[:, at])
            continue
        axis.plot([spec.min, spec.max], [spec.min, spec.max], color="0.7", linewidth=1)
        axis.scatter(truth[:, at], predicted[:, at], s=4, alpha=0.5, edgecolors="none")
        _name(axis, spec.name, f"true {spec.unit}", "predicted")
        if spec.scale == "log":
            axis.set(xscale="log", yscale="log")
    return figure


def _draw_confusion(axis: Axes, spec: ParameterSpec, truth: np.ndarray, predicted: np.ndarray) -> None:
    counts = count_pairs(spec, nearest_category(spec, truth), nearest_category(spec, predicted)).matrix()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares.T, origin="lower", aspect="auto", vmin=0, vmax=1, cmap="Blues")
    if spec.num_classes <= _NAMED:
        names = [plain(name) for name in category_names(spec)]
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right", parse_math=False)
        axis.set_yticks(range(len(names)), names, parse_math=False)
    _name(axis, spec.name, "true", "predicted")


def error_figure(space: ParameterSpace, errors: np.ndarray) -> Figure:
    """Plot a histogram of the errors (n, P), predicted minus true, one panel per parameter; the line marks no error.

    For a categorical parameter, the panel counts correct and wrong predictions.
    """
    figure, axes = _panels(space)
    for at, spec in enumerate(space):
        axis = axes[at]
        if spec.kind == "categorical":
            wrong = int((errors[:, at] != 0).sum())
            axis.bar(["correct", "wrong"], [len(errors) - wrong, wrong])
            _name(axis, spec.name, "", "sounds")
            continue
        axis.hist(errors[:, at], bins=31)
        axis.axvline(0.0, color="0.7", linewidth=1)
        _name(axis, spec.name, f"predicted - true {spec.unit}", "sounds")
    return figure


def histogram_figure(space: ParameterSpace, values: np.ndarray) -> Figure:
    """Plot a histogram of values (n, P), one panel per parameter and one bar per class."""
    figure, axes = _panels(space)
    for at, spec in enumerate(space):
        axes[at].hist(values[:, at], bins=min(spec.num_classes, 64))
        _name(axes[at], spec.name, spec.unit, "sounds")
    return figure
