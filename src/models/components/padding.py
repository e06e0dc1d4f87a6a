"""The number of patches that cover an image, and the padding that they need."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from src.utils.errors import UserError

SILENCE = -1.0  # the level 0 of a spectral image after its normalisation


def as_pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) of a size given as one number or two."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise UserError(f"model.network: a size of {size} given; give one number, or height and width, each at least 1")
    return pair


def num_patches(size: int, patch: int, stride: int) -> int:
    """Return the number of patches, one every `stride` pixels, that cover `size` pixels."""
    return 1 + -(-max(0, size - patch) // stride)


def pad_to_patches(image: Tensor, patch: tuple[int, int], stride: tuple[int, int], value: float = 0.0) -> Tensor:
    """Append rows and columns of `value` to (B, C, H, W) until patches end at the image's end."""
    rows, columns = (
        (num_patches(*geometry) - 1) * geometry[2] + geometry[1] - geometry[0]
        for geometry in zip(image.shape[2:], patch, stride, strict=True)
    )
    return functional.pad(image, (0, columns, 0, rows), value=value) if rows > 0 or columns > 0 else image
