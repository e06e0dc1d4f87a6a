"""A picture of what a prediction depends on: the image of the sound, and maps of each parameter over it."""

import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from src.data.spec import DatasetSpec
from src.evaluation.confusion import category_name
from src.evaluation.explain import Explanation
from src.evaluation.image_axes import image_extent, name_mel_bands
from src.parameters.spec import ParameterSpec
from src.utils.table import plain

matplotlib.use("agg")  # for files; needs no window system

_WIDTH, _ROW, _TOP, _BOTTOM = 9.0, 2.3, 0.5, 0.5  # inches
_GRADIENTS = """Integrated gradients, from silence to the sound:
red pixels raise the value, blue pixels lower it."""
_CAMS = """Grad-CAM++: the brighter a region, the more
the last feature maps raise the value there."""


def explanation_figure(spec: DatasetSpec, explanation: Explanation) -> Figure:
    """Plot the first channel of an image, and over it the maps of each parameter: two in a row."""
    has_cams = explanation.cams is not None
    rows = 1 + math.ceil(len(spec.space) * (2 if has_cams else 1) / 2)
    height = _ROW * rows + _TOP + _BOTTOM
    figure = Figure(figsize=(_WIDTH, height))
    figure.subplots_adjust(  # constrained layout would take seconds
        left=0.08, right=0.98, bottom=_BOTTOM / height, top=1 - _TOP / height, hspace=0.35, wspace=0.06
    )
    axes = figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True)
    panels = iter(axes.ravel())
    image = explanation.image[0]
    extent, labels = image_extent(spec, image.shape)
    drawing: dict[str, Any] = {"origin": "lower", "aspect": "auto", "extent": extent}

    first = next(panels)
    first.imshow(image, cmap="magma", **drawing)
    first.set_title(_channel(spec), fontsize=9, parse_math=False)
    notes = next(panels)
    notes.set_axis_off()
    text = f"{_GRADIENTS}\n\n{_CAMS}" if has_cams else _GRADIENTS
    notes.text(0.0, 0.5, text, transform=notes.transAxes, fontsize=9, va="center")
    for at, parameter in enumerate(spec.space):
        name, gradients = plain(parameter.name), explanation.gradients[at]
        largest = max(float(np.abs(gradients).max()), 1e-12)  # 0 if nothing matters
        panel = next(panels)
        panel.imshow(image, cmap="gray", alpha=0.5, **drawing)
        opacity = np.sqrt(np.abs(gradients) / largest)
        panel.imshow(gradients, cmap="bwr", vmin=-largest, vmax=largest, alpha=opacity, **drawing)
        title = f"{name}: {_value(parameter, explanation.values[at])}\nhalf in {explanation.bands[at]}"
        panel.set_title(title, fontsize=9, parse_math=False)
        if explanation.cams is not None:
            panel = next(panels)
            panel.imshow(image, cmap="gray", alpha=0.5, **drawing)
            panel.imshow(explanation.cams[at], cmap="inferno", vmin=0, vmax=1, alpha=0.6, **drawing)
            panel.set_title(f"{name}: Grad-CAM++", fontsize=9, parse_math=False)
    for unused in panels:
        unused.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel(labels[1])
    for axis in axes[-1]:
        axis.set_xlabel(labels[0])
    name_mel_bands(first, spec)
    return figure


def _channel(spec: DatasetSpec) -> str:
    """Return what the first channel of a dataset's images shows."""
    name = spec.origin.spectral.channels[0] if spec.origin.spectral else "first channel"
    count = spec.image_shape[0]
    return name if count == 1 else f"{name} (the maps are sums over {count} channels)"


def _value(parameter: ParameterSpec, value: float) -> str:
    if parameter.kind == "categorical":
        return plain(category_name(parameter, value))
    return plain(f"{value:.4g} {parameter.unit}".rstrip())
