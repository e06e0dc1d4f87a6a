"""A model drawn as boxes, in the style of the VGG paper: the outputs of its blocks, to scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from src.evaluation.architecture import Layer

matplotlib.use("agg")  # for files; needs no window system

_COLOURS = {"image": "#d9d9d9", "maps": "#9ecae1", "tokens": "#c7b8e6", "vector": "#a8d5a2", "heads": "#fdae6b"}
_SIDE = 3.0  # the largest side of any map, in units of the drawing
_GAP = 1.3  # between two boxes, for their labels
_WIDTH = 9.0  # the minimum, for the caption
_CAPTION = "height: frequency; depth: time; thickness: channels. Under each box: output size and number of weights."
_SLANT = (0.45, 0.35)  # the direction of the time axis


@dataclass(frozen=True)
class _Box:
    shape: tuple[int, ...]
    role: str
    labels: list[str]
    height: float
    depth: float
    thickness: float


def block_figure(title: str, blocks: Sequence[Layer]) -> Figure:
    """Draw each block's output as a box: height is frequency, depth is time, thickness is channels.

    Vectors are bars whose length is their number of entries. That length and all channels are on a square-root scale,
    since a hundred channels would not fit. Consecutive blocks of the same kind and shape are one box.
    """
    boxes = _boxes(blocks)
    lefts, right = [], 0.0
    for box in boxes:
        lefts.append(right)
        right += max(box.thickness + box.depth * _SLANT[0], 0.6) + _GAP
    top = max(box.height / 2 + box.depth * _SLANT[1] for box in boxes) + 0.5
    bottom = max(box.height for box in boxes) / 2 + 0.3
    lines = max(len(box.labels) for box in boxes)
    figure = Figure(figsize=(0.62 * (max(right, _WIDTH) + 1), 0.62 * (top + bottom + 0.4 * lines + 1.8)))
    axes = figure.add_axes((0, 0, 1, 1))
    for at, (box, left) in enumerate(zip(boxes, lefts, strict=True)):
        _draw(axes, box, left)
        middle = left + (box.thickness + box.depth * _SLANT[0]) / 2
        axes.text(middle, -bottom - 0.3, "x".join(map(str, box.shape)), ha="center", fontsize=10, weight="bold")
        for line, label in enumerate(box.labels):
            axes.text(middle, -bottom - 0.75 - 0.4 * line, label, ha="center", fontsize=8)
        if at:
            before = boxes[at - 1]
            start = lefts[at - 1] + before.thickness + before.depth * _SLANT[0] / 2 + 0.1
            axes.annotate("", (left - 0.1, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "color": "0.4"}, zorder=0)
    axes.text(-0.8, top + 0.6, title, fontsize=12, weight="bold")
    axes.text(-0.8, top + 0.2, _CAPTION, fontsize=8, color="0.3")
    axes.set(xlim=(-1, max(right, _WIDTH)), ylim=(-bottom - 0.7 - 0.4 * lines, top + 1.1), aspect="equal")
    axes.set_axis_off()
    return figure


def _boxes(blocks: Sequence[Layer]) -> list[_Box]:
    """Return the image and the blocks' outputs, with sizes in units of the drawing."""
    rows: list[tuple[tuple[int, ...], str, str, int, int]] = [(blocks[0].input_shape, "image", "", 0, 1)]
    for at, block in enumerate(blocks):
        if block.kind == "Flatten":
            continue
        role = {3: "maps", 2: "tokens"}.get(len(block.shape), "vector")
        role = "heads" if at == len(blocks) - 1 else role
        shape, _, kind, parameters, times = rows[-1]
        if (shape, kind) == (block.shape, block.kind):
            rows[-1] = (shape, role, kind, parameters + block.parameters, times + 1)
        else:
            rows.append((block.shape, role, block.kind, block.parameters, 1))
    longest = max(max(shape[-2:]) for shape, *_ in rows if len(shape) > 1)
    scale = _SIDE / longest
    result = []
    for shape, role, kind, parameters, times in rows:
        name = role if role in ("image", "heads") else f"{times} x {kind}" if times > 1 else kind
        labels = [name] + ([f"{parameters:,}"] if parameters else [])
        if len(shape) == 3:
            height, depth = (max(0.12, side * scale) for side in shape[1:])
            result.append(_Box(shape, role, labels, height, depth, 0.09 * shape[0] ** 0.5))
        elif len(shape) == 2:  # tokens: each is a row of the box
            result.append(_Box(shape, role, labels, _SIDE * 0.8, 0.12, 0.09 * shape[1] ** 0.5))
        else:
            result.append(_Box(shape, role, labels, min(_SIDE * 1.2, 0.25 * shape[0] ** 0.5), 0.12, 0.18))
    return result


def _draw(axes: Axes, box: _Box, left: float) -> None:
    """Draw one box with the left edge of its front at `left`, centred on y = 0."""
    right, low, high = left + box.thickness, -box.height / 2, box.height / 2
    dx, dy = box.depth * _SLANT[0], box.depth * _SLANT[1]
    front = [(left, low), (right, low), (right, high), (left, high)]
    top = [(left, high), (right, high), (right + dx, high + dy), (left + dx, high + dy)]
    side = [(right, low), (right + dx, low + dy), (right + dx, high + dy), (right, high)]
    colour = _COLOURS[box.role]
    for face, shade in ((front, 0.0), (top, 0.35), (side, -0.15)):
        axes.add_patch(Polygon(face, facecolor=_shaded(colour, shade), edgecolor="0.25", linewidth=0.7, zorder=2))


def _shaded(colour: str, shade: float) -> tuple[float, ...]:
    """Return a colour, mixed with white (above 0) or black (below)."""
    target = 1.0 if shade > 0 else 0.0
    return tuple(part + (target - part) * abs(shade) for part in matplotlib.colors.to_rgb(colour))
