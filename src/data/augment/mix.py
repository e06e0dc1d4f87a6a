"""Mix each image with another one; its loss is then a mean of the losses for both labels.

A subclass's `weights` are the shares of the image itself in each pixel, (B, 1, H, W); their mean is that of its label.
"""

import torch
from pydantic import Field
from torch import Tensor

from src.data.augment.random import betas
from src.data.augment.transform import MOST_PIXELS, Transform


class Mix(Transform):
    """The base of transforms that mix two images."""

    alpha: float = Field(1.0, gt=0, le=100)  # of Beta(alpha, alpha), from which an image's own share is drawn

    def weights(self, uniform: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """Return the own share of each pixel (B, 1, H, W), for uniform numbers (B, K)."""
        raise NotImplementedError


class MixUp(Mix):
    """The weighted mean of two images: of spectral ones in dB, as a network sees them.

    Source: Zhang et al., mixup, arXiv 1710.09412.
    """

    alpha: float = Field(0.2, gt=0, le=100)  # as in the source for pictures

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1

    def weights(self, uniform: Tensor, shape: tuple[int, int, int]) -> Tensor:
        own = betas(uniform[:, 0], self.alpha)[:, None, None, None]
        return own.expand(-1, 1, *shape[1:])


class CutMix(Mix):
    """A rectangle is replaced by that of the other image.

    Source: Yun et al., CutMix, arXiv 1905.04899.
    """

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 3

    def weights(self, uniform: Tensor, shape: tuple[int, int, int]) -> Tensor:
        side = (1.0 - betas(uniform[:, 0], self.alpha)).clamp_min(0.0).sqrt()
        inside = []
        for size, place in zip(shape[1:], uniform[:, 1:].unbind(1), strict=True):
            centre, half = (place * size).long(), (side * size / 2).round()
            cells = torch.arange(size, device=uniform.device)
            inside.append((cells >= (centre - half)[:, None]) & (cells < (centre + half)[:, None]))
        replaced = inside[0][:, None, :, None] & inside[1][:, None, None, :]
        return 1.0 - replaced.to(uniform.dtype)


class TokenMix(Mix):
    """Random patches of `patch` x `patch` pixels are replaced by those of the other image.

    Source: Liu et al., TokenMix, arXiv 2207.08409, with single patches and shares by area.
    """

    patch: int = Field(4, ge=1, le=MOST_PIXELS)  # pixels: the patches of the network, if it has any

    def _grid(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        return -(-shape[1] // self.patch), -(-shape[2] // self.patch)

    def draws(self, shape: tuple[int, int, int]) -> int:
        rows, columns = self._grid(shape)
        return 1 + rows * columns

    def weights(self, uniform: Tensor, shape: tuple[int, int, int]) -> Tensor:
        rows, columns = self._grid(shape)
        replaced = ((1.0 - betas(uniform[:, 0], self.alpha)) * rows * columns).round()
        places = uniform[:, 1:].argsort(dim=1, stable=True).argsort(dim=1)
        own = (places >= replaced[:, None]).to(uniform.dtype).view(-1, 1, rows, columns)
        down, right = (torch.arange(size, device=own.device) // self.patch for size in shape[1:])
        return own[:, :, down[:, None], right]
