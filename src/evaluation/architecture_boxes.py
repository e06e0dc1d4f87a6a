"""The outputs of a model's blocks as boxes to be drawn: height is frequency, depth is time, thickness is channels."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.evaluation.architecture import Layer

SLANT = (0.45, 0.35)  # the direction of the time axis
BOXES_CAPTION = (
    "Height: frequency; depth: time; thickness: channels. A box of two numbers: parts of the image, and the values of "
    "each. Under each box: output size and number of weights."
)
_COLOURS = {"image": "#d9d9d9", "maps": "#9ecae1", "tokens": "#c7b8e6", "vector": "#a8d5a2", "heads": "#fdae6b"}
_SIDE = 3.0  # the largest side of any map, in units of the drawing

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """The output of a block, with sizes in units of the drawing."""

    shape: tuple[int, ...]
    role: str
    labels: list[str]
    height: float
    depth: float
    thickness: float

    @property
    def width(self) -> float:
        """The width of the drawn box."""
        return self.thickness + self.depth * SLANT[0]

    def faces(self, left: float) -> list[tuple[list[Point], str]]:
        """Return the corners (x, y) and the colours of the front, top and side, centred on y = 0; y points upwards."""
        right, low, high = left + self.thickness, -self.height / 2, self.height / 2
        dx, dy = self.depth * SLANT[0], self.depth * SLANT[1]
        front = [(left, low), (right, low), (right, high), (left, high)]
        top = [(left, high), (right, high), (right + dx, high + dy), (left + dx, high + dy)]
        side = [(right, low), (right + dx, low + dy), (right + dx, high + dy), (right, high)]
        colour = _COLOURS[self.role]
        return [(front, colour), (top, _mixed(colour, 255, 0.35)), (side, _mixed(colour, 0, 0.15))]


def boxes(blocks: Sequence[Layer]) -> list[Box]:
    """Return the image and the blocks' outputs; consecutive blocks of the same kind and shape are one box.

    Vectors are bars whose length is their number of entries. That length and all channels are on a square-root scale,
    since a hundred channels would not fit.
    """
    shape = blocks[0].input_shape
    first = "image" if len(shape) == 3 else "parts of the image"  # which a network may cut before its first layer
    rows: list[tuple[tuple[int, ...], str, str, int, int]] = [(shape, "image", first, 0, 1)]
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
        name = kind if role == "image" else role if role == "heads" else f"{times} x {kind}" if times > 1 else kind
        labels = [name] + ([f"{parameters:,}"] if parameters else [])
        if len(shape) == 3:
            height, depth = (max(0.12, side * scale) for side in shape[1:])
            result.append(Box(shape, role, labels, height, depth, 0.09 * shape[0] ** 0.5))
        elif len(shape) == 2:  # tokens: each is a row of the box
            result.append(Box(shape, role, labels, _SIDE * 0.8, 0.12, 0.09 * shape[1] ** 0.5))
        else:
            result.append(Box(shape, role, labels, min(_SIDE * 1.2, 0.25 * shape[0] ** 0.5), 0.12, 0.18))
    return result


def _mixed(colour: str, level: int, share: float) -> str:
    """Return a colour #rrggbb of which a share is a grey level."""
    parts = bytes.fromhex(colour[1:])
    return "#" + bytes(round(part + (level - part) * share) for part in parts).hex()
