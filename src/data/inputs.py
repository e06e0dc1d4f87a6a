"""What a network reads: the shape and the values of a dataset's images."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Inputs:
    """Images (C, H, W) of a dataset, as its batches serve them to a model.

    `mean` and `std` are those of the pixels, one for all channels or one for each. By default they are the usual values
    of a spectral image, a quarter of which is white; they are powers of 2, so that the normalisation does not round.
    """

    shape: Shape
    kind: Literal["spectral", "image"] = "spectral"
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.25,)
    std: tuple[float, ...] = (0.25,)

    def scale_and_offset(self) -> tuple[Tensor, Tensor]:
        """Return a and b, (C or 1, 1, 1) each, so that a * image + b has a mean of 0 and a deviation of 1."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return 1.0 / std, -mean / std
