"""Pictures of a model's answers and of a dataset's labels."""

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from src.synth.parameters import ParameterSpace

matplotlib.use("agg")  # files only: no window system is asked for

_COLUMNS = 4


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
