"""Hide parts of images."""

import torch
from pydantic import Field
from torch import Tensor

from src.data.augment.random import whole_between
from src.data.augment.transform import MOST_PIXELS, Transform


def spans(uniform: Tensor, size: int, widest: int) -> Tensor:
    """Return masks (B, size) bool of one random span of up to `widest` of `size` cells, for uniform numbers (B, 2)."""
    width = whole_between(uniform[:, 0], 0, min(widest, size))
    start = (uniform[:, 1] * (size - width + 1)).long()
    cells = torch.arange(size, device=uniform.device)
    return (cells >= start[:, None]) & (cells < (start + width)[:, None])


class SpecAugment(Transform):
    """Spans of frames and of rows become 0, the lowest level.

    Source: Park et al., SpecAugment, arXiv 1904.08779, without time warping.
    """

    inputs = ("spectral",)
    frames: int = Field(4, ge=0, le=MOST_PIXELS)  # the widest span; 0: none
    rows: int = Field(4, ge=0, le=MOST_PIXELS)
    frame_masks: int = Field(1, ge=0, le=16)
    row_masks: int = Field(1, ge=0, le=16)

    def can_empty(self, shape: tuple[int, int, int]) -> bool:
        by_rows = self.row_masks > 0 and self.rows >= shape[1]
        return by_rows or (self.frame_masks > 0 and self.frames >= shape[2])

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 2 * (self.frame_masks + self.row_masks)

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        height, width = images.shape[2:]
        for number, pair in enumerate(uniform.split(2, dim=1)):
            if number < self.frame_masks:
                hidden = spans(pair, width, self.frames)[:, None, None, :]
            else:
                hidden = spans(pair, height, self.rows)[:, None, :, None]
            images = torch.where(hidden, 0.0, images)
        return images


class Erase(Transform):
    """A rectangle of up to `height` and `width` pixels becomes 0.

    Source: DeVries & Taylor, Cutout, arXiv 1708.04552; here the rectangle is within the image.
    """

    inputs = ("image",)
    height: int = Field(4, ge=1, le=MOST_PIXELS)
    width: int = Field(4, ge=1, le=MOST_PIXELS)

    def can_empty(self, shape: tuple[int, int, int]) -> bool:
        return self.height >= shape[1] and self.width >= shape[2]

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 4

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        rows = spans(uniform[:, :2], images.shape[2], self.height)
        columns = spans(uniform[:, 2:], images.shape[3], self.width)
        return torch.where(rows[:, None, :, None] & columns[:, None, None, :], 0.0, images)
