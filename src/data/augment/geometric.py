"""Move the pixels of images."""

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from src.data.augment.random import between, whole_between
from src.data.augment.transform import MOST_PIXELS, Transform


def moved(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each image (B, C, H, W) by whole pixels (B,); pixels that enter are 0."""
    batch, channels, height, width = images.shape
    device = images.device
    rows = torch.arange(height, device=device) - down[:, None]
    columns = torch.arange(width, device=device) - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    sample, channel = torch.arange(batch, device=device), torch.arange(channels, device=device)
    found = images[
        sample[:, None, None, None],
        channel[:, None, None],
        rows.clamp(0, height - 1)[:, None, :, None],
        columns.clamp(0, width - 1)[:, None, None, :],
    ]
    return torch.where(inside[:, None], found, 0.0)


def resampled(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return images (B, C, H, W), read bilinearly at rows and columns (B, H, W); outside of an image they are 0."""
    height, width = images.shape[2:]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=3)
    return functional.grid_sample(images, grid.to(images.dtype), padding_mode="zeros", align_corners=False)


def pixel_grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows (H, 1) and columns (1, W) of pixels as floats."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device, dtype=torch.float32)
    columns = torch.arange(width, device=images.device, dtype=torch.float32)
    return rows[:, None], columns[None, :]


class Shift(Transform):
    """Move pictures by up to `pixels` along both axes."""

    inputs = ("image",)
    pixels: int = Field(2, ge=0, le=MOST_PIXELS)

    def can_empty(self, shape: tuple[int, int, int]) -> bool:
        return self.pixels >= min(shape[1:])

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 2

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        down, right = (whole_between(one, -self.pixels, self.pixels) for one in uniform.unbind(1))
        return moved(images, down, right)


class Flip(Transform):
    """Mirror pictures left to right; half of them by default."""

    inputs = ("image",)
    share: float = Field(0.5, gt=0, le=1)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 0

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        return images.flip(3)


class Rotate(Transform):
    """Turn pictures about their centre by up to `degrees` either way."""

    inputs = ("image",)
    degrees: float = Field(10.0, gt=0, le=180)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        angle = between(uniform[:, 0], -self.degrees, self.degrees) * (math.pi / 180)
        sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
        rows, columns = pixel_grid(images)
        middle_row, middle_column = (images.shape[2] - 1) / 2, (images.shape[3] - 1) / 2
        down, right = rows - middle_row, columns - middle_column
        return resampled(
            images, middle_row + cosine * down - sine * right, middle_column + sine * down + cosine * right
        )


class Elastic(Transform):
    """Bend pictures smoothly: the corners of `cells` x `cells` fields move by up to `pixels`, those between follow.

    Source: after Simard, Steinkraus & Platt, Best practices for convolutional neural networks, ICDAR 2003, with
    cosine interpolation in place of a Gaussian filter.
    """

    inputs = ("image",)
    pixels: float = Field(1.0, gt=0, le=MOST_PIXELS)
    cells: int = Field(3, ge=1, le=64)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 2 * (self.cells + 1) ** 2

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        corners = between(uniform, -self.pixels, self.pixels).view(len(images), 2, self.cells + 1, self.cells + 1)
        down, right = (_cosine_weights(size, self.cells, images.device) for size in images.shape[2:])
        moves = down @ corners @ right.T
        rows, columns = pixel_grid(images)
        return resampled(images, rows + moves[:, 0], columns + moves[:, 1])


def _cosine_weights(size: int, cells: int, device: torch.device) -> Tensor:
    """Return the weights (size, cells + 1) of evenly spaced corners at pixels between the first and the last."""
    places = torch.linspace(0.0, cells, size, device=device)[:, None]
    apart = (places - torch.arange(cells + 1, device=device)).abs().clamp_max(1.0)
    return 0.5 + 0.5 * torch.cos(math.pi * apart)


class GridDistortion(Transform):
    """Stretch and compress pictures: the widths of `cells` rows and columns of fields change by up to `strength`."""

    inputs = ("image",)
    strength: float = Field(0.3, gt=0, lt=1)  # of a field's width
    cells: int = Field(4, ge=2, le=64)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 2 * self.cells

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        widths = between(uniform, 1 - self.strength, 1 + self.strength).view(len(images), 2, self.cells)
        sums = torch.ones(self.cells, self.cells, device=images.device).triu()  # cumsum has no deterministic kernel
        edges = functional.pad(widths @ sums, (1, 0))
        edges = edges / edges[:, :, -1:]  # in [0, 1], where evenly spaced edges come from
        places = []
        for axis, size in enumerate(images.shape[2:]):
            centres = (torch.arange(size, device=images.device) + 0.5) / size * self.cells
            field = centres.long()
            left, right = edges[:, axis, field], edges[:, axis, field + 1]
            places.append(torch.lerp(left, right, (centres - field).expand_as(left)) * size - 0.5)
        height, width = images.shape[2:]
        rows = places[0][:, :, None].expand(-1, height, width)
        return resampled(images, rows, places[1][:, None, :].expand(-1, height, width))
