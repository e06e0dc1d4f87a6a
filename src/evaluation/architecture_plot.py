"""A model drawn as boxes, in the style of the VGG paper: the outputs of its blocks, to scale."""

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from src.evaluation.architecture import Layer
from src.evaluation.architecture_boxes import BOXES_CAPTION, SLANT, boxes

matplotlib.use("agg")  # for files; needs no window system

_GAP = 1.3  # between two boxes, for their labels
_WIDTH = 9.0  # the minimum, for the caption


def block_figure(title: str, blocks: Sequence[Layer]) -> Figure:
    """Draw each block's output as a box, see `boxes`."""
    drawn = boxes(blocks)
    lefts, right = [], 0.0
    for box in drawn:
        lefts.append(right)
        right += max(box.width, 0.6) + _GAP
    top = max(box.height / 2 + box.depth * SLANT[1] for box in drawn) + 0.5
    bottom = max(box.height for box in drawn) / 2 + 0.3
    lines = max(len(box.labels) for box in drawn)
    figure = Figure(figsize=(0.62 * (max(right, _WIDTH) + 1), 0.62 * (top + bottom + 0.4 * lines + 1.8)))
    axes = figure.add_axes((0, 0, 1, 1))
    for at, (box, left) in enumerate(zip(drawn, lefts, strict=True)):
        for corners, colour in box.faces(left):
            axes.add_patch(Polygon(corners, facecolor=colour, edgecolor="0.25", linewidth=0.7, zorder=2))
        middle = left + box.width / 2
        axes.text(middle, -bottom - 0.3, "x".join(map(str, box.shape)), ha="center", fontsize=10, weight="bold")
        for line, label in enumerate(box.labels):
            axes.text(middle, -bottom - 0.75 - 0.4 * line, label, ha="center", fontsize=8)
        if at:
            before = drawn[at - 1]
            start = lefts[at - 1] + before.thickness + before.depth * SLANT[0] / 2 + 0.1
            axes.annotate("", (left - 0.1, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "color": "0.4"}, zorder=0)
    axes.text(-0.8, top + 0.6, title, fontsize=12, weight="bold")
    axes.text(-0.8, top + 0.2, BOXES_CAPTION, fontsize=8, color="0.3")
    axes.set(xlim=(-1, max(right, _WIDTH)), ylim=(-bottom - 0.7 - 0.4 * lines, top + 1.1), aspect="equal")
    axes.set_axis_off()
    return figure
