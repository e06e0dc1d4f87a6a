"""Change the values of pictures' pixels."""

import math

import torch
from pydantic import Field
from torch import Tensor

from src.data.augment.random import between, normals
from src.data.augment.transform import Transform


class ColourJitter(Transform):
    """Change brightness, contrast and saturation by factors from 1 - x to 1 + x each; grey pictures have no saturation.

    Contrast is the distance from the picture's mean, saturation that from each pixel's mean over the channels.
    """

    inputs = ("image",)
    brightness: float = Field(0.2, ge=0, le=1)
    contrast: float = Field(0.2, ge=0, le=1)
    saturation: float = Field(0.2, ge=0, le=1)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 3

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        ranges = (self.brightness, self.contrast, self.saturation)
        brightness, contrast, saturation = (
            between(one, 1 - most, 1 + most)[:, None, None, None]
            for one, most in zip(uniform.unbind(1), ranges, strict=True)
        )
        images = (images * brightness).clamp(0.0, 1.0)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = (mean + contrast * (images - mean)).clamp(0.0, 1.0)
        grey = images.mean(dim=1, keepdim=True)
        return grey + saturation * (images - grey)


class GaussianNoise(Transform):
    """Add noise to each pixel, with a deviation of up to `deviation` of the range of values."""

    inputs = ("image",)
    deviation: float = Field(0.05, gt=0, le=1)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1 + math.prod(shape)

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        deviation = self.deviation * uniform[:, :1]
        return images + (deviation * normals(uniform[:, 1:])).view_as(images)


class RandAugment(Transform):
    """Apply `count` transforms, drawn for each picture from `operations`, which has the form of data.augment.

    Source: Cubuk et al., RandAugment, arXiv 1909.13719; the magnitudes are the operations' own settings.
    """

    inputs = ("image",)
    count: int = Field(2, ge=1, le=16)
    operations: tuple[Transform, ...] = Field(min_length=1)

    def can_empty(self, shape: tuple[int, int, int]) -> bool:
        return any(operation.can_empty(shape) for operation in self.operations)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return self.count * (1 + sum(operation.draws(shape) for operation in self.operations))

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        shape = (images.shape[1], images.shape[2], images.shape[3])
        sizes = [operation.draws(shape) for operation in self.operations]
        for turn in uniform.chunk(self.count, dim=1):
            chosen = (turn[:, 0] * len(self.operations)).long()[:, None, None, None]
            before = images
            for number, (operation, own) in enumerate(
                zip(self.operations, turn[:, 1:].split(sizes, dim=1), strict=True)
            ):
                # computed for all pictures: to select some would wait for an accelerator
                changed = operation.change(before, own, scale).clamp(0.0, 1.0)
                images = torch.where(chosen == number, changed, images)
        return images
