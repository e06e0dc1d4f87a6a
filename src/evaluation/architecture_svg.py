"""A model drawn as boxes, as an SVG element for a page: text in the page's colours, and nothing outside the element."""

import html
from collections.abc import Sequence

from src.evaluation.architecture import Layer
from src.evaluation.architecture_boxes import Box, Point, boxes
from src.utils.table import plain

_SCALE = 40.0  # pixels of a unit of the drawing
_CHARACTER = 7.0  # pixels of a character at most
_LINE = 16.0  # pixels of a line of text
_GAP = 26.0  # pixels between two blocks, for an arrow
_MARGIN = 8.0


def block_svg(blocks: Sequence[Layer]) -> str:
    """Draw each block's output as a box, see `boxes`: under it its shape, its class and its number of weights."""
    drawn = boxes(blocks)
    middle = _MARGIN + _SCALE * max(box.faces(0)[1][0][2][1] for box in drawn)  # y of the axis through all boxes
    text_top = middle + _SCALE * max(box.height for box in drawn) / 2 + _LINE
    height = text_top + _LINE * max(len(box.labels) for box in drawn) + _MARGIN
    parts, at = [], _MARGIN
    for number, box in enumerate(drawn):
        if number:
            parts.append(_arrow(at - _GAP, middle))
        width = max(_SCALE * box.width, _CHARACTER * max(map(len, [_size(box), *box.labels])))
        left = at + (width - _SCALE * box.width) / 2
        for corners, colour in box.faces(0):
            parts.append(f'<polygon points="{_points(corners, left, middle)}" fill="{colour}" stroke="#404040"/>')
        for line, label in enumerate([_size(box), *box.labels]):
            weight = ' font-weight="600"' if line == 0 else ""
            place = f'x="{at + width / 2:.1f}" y="{text_top + _LINE * line:.1f}"'
            parts.append(f"<text {place}{weight}>{html.escape(plain(label))}</text>")
        at += width + _GAP
    width = at - _GAP + _MARGIN
    label = html.escape(", ".join(f"{box.labels[0]} {_size(box)}" for box in drawn))
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    style = 'font-size="12" text-anchor="middle" fill="currentColor"'
    return f'<svg role="img" aria-label="Blocks of the network: {label}" {size} {style}>{"".join(parts)}</svg>'


def _size(box: Box) -> str:
    return "x".join(map(str, box.shape))


def _points(corners: Sequence[Point], left: float, middle: float) -> str:
    return " ".join(f"{left + _SCALE * x:.1f},{middle - _SCALE * y:.1f}" for x, y in corners)


def _arrow(left: float, middle: float) -> str:
    """Return an arrow to the right in the gap that begins at `left`."""
    tip = left + _GAP - 4
    line = f'<path d="M{left + 4:.1f} {middle:.1f}H{tip:.1f}" stroke="currentColor"/>'
    return f'{line}<path d="M{tip:.1f} {middle:.1f}l-6 -3v6z"/>'
