"""The results of a model that segments, as a table and as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from src.data.spec import DatasetSpec
from src.evaluation.intervals import rounded, written_interval
from src.utils.table import Column

if TYPE_CHECKING:  # the tables of generation need neither PyTorch nor matplotlib
    import numpy as np
    from matplotlib.figure import Figure

    from src.evaluation.maps import DrawnMaps, MapResults

MAPS_FILE = "maps.png"


def map_table(maps: MapResults) -> tuple[list[Column], list[list[str]], set[int]]:
    """Return the results of maps in percent, and the rows that a line precedes."""
    columns = [Column("metric", text=True), Column("result"), Column("95 % interval", drop=2)]
    columns += [Column("rule")] * bool(maps.rule) + [Column("most frequent class", drop=1)]
    rows = []
    for figure in maps.figures:
        known = figure.interval and (100 * figure.interval[0], 100 * figure.interval[1])
        value = None if figure.value is None else 100 * figure.value
        row = [figure.name, f"{rounded(value, known)} %", f"{written_interval(value, known)} %"]
        row += [_percent(figure.rule)] * bool(maps.rule) + [_percent(figure.most_frequent)]
        rows.append(row)
    return columns, rows, {3, 3 + len(maps.classes)}


def map_note(maps: MapResults) -> str:
    """Return what the columns of `map_table` mean."""
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in zip(maps.classes, maps.shares, strict=True))
    note = f"pixels by class: {shares}; most frequent class: always predicting '{maps.most_frequent}'"
    return f"{note}; rule: {maps.rule}" if maps.rule else note


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def write_map_figure(drawn: DrawnMaps, path: Path) -> None:
    """Draw a row for each image: the image, its true map and the predicted one."""
    from src.evaluation.plots import save_figure

    maps = {"image": drawn.images, "true map": drawn.true, "predicted map": drawn.predicted}
    save_figure(map_figure(maps, drawn.spec), path)


def map_figure(columns: dict[str, np.ndarray], spec: DatasetSpec) -> Figure:
    """Plot images and maps (n, H, W) by title, a column each; the first column is the image, the others are maps."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from src.evaluation.image_axes import image_extent

    classes, count = spec.map_classes, len(next(iter(columns.values())))
    colours = _colours(len(classes))
    figure = Figure(figsize=(3.0 * len(columns), 2.2 * count + 0.6), layout="constrained")
    axes = figure.subplots(count, len(columns), squeeze=False, sharex=True, sharey=True)
    extent, (time, frequency) = image_extent(spec, spec.image_shape[1:])
    for column, (title, arrays) in enumerate(columns.items()):
        style = {"cmap": ListedColormap(colours), "vmin": -0.5, "vmax": len(classes) - 0.5, "interpolation": "nearest"}
        if column == 0:
            style = {"cmap": "magma", "vmin": 0.0, "vmax": 1.0}
        for axis, array in zip(axes[:, column], arrays, strict=True):
            axis.imshow(array, origin="lower", aspect="auto", extent=extent, **style)
        axes[0, column].set_title(title)
        axes[-1, column].set_xlabel(time)
    for axis in axes[:, 0]:
        axis.set_ylabel(frequency)
    handles = [
        Patch(facecolor=colour, edgecolor="0.5", label=name) for colour, name in zip(colours, classes, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(classes))
    return figure


def _colours(count: int) -> list[str]:
    """Return a colour for each class: white for the first, then those of Okabe & Ito, for all kinds of sight."""
    others = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"]
    return ["#FFFFFF", *(others[at % len(others)] for at in range(count - 1))]
