"""What a network reads: the shape and the values of a dataset's images."""

from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor

Shape = tuple[int, int, int]
Pixel = Annotated[float, Field(ge=-1e6, le=1e6)]
PerChannel = Annotated[tuple[Pixel, ...], Field(min_length=1, max_length=65535)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Inputs:
    """Images (C, H, W) of a dataset, as its batches serve them to a model.

    `mean` and `std` are those of the pixels, one for all channels or one for each. By default they are the usual values
    of a spectral image, a quarter of which is white; they are powers of 2, so that the normalisation does not round.
    """

    shape: Shape
    kind: Literal["spectral", "image"] = "spectral"
    value_range: tuple[Pixel, Pixel] = (0.0, 1.0)
    mean: PerChannel = (0.25,)
    std: PerChannel = (0.25,)

    @model_validator(mode="after")
    def _check(self) -> "Inputs":
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.shape[0]):
                raise ValueError(f"{name}: give one value, or one for each of {self.shape[0]} channels")
        if self.value_range[0] >= self.value_range[1]:
            raise ValueError(f"value_range {self.value_range} is empty")
        if min(self.std) < 1e-6:
            raise ValueError(f"std {self.std} given; give at least 1e-6")
        return self

    def scale_and_offset(self) -> tuple[Tensor, Tensor]:
        """Return a and b, (C or 1, 1, 1) each, so that a * image + b has a mean of 0 and a deviation of 1."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return 1.0 / std, -mean / std
