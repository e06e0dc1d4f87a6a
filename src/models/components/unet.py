"""A small U-Net: features of each pixel, from what is near it and from what the whole image shows."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.models.components.blocks import keep_variance
from src.utils.errors import UserError


class UNet(nn.Module):
    """Stages that halve the image, and as many that double it again, each joined to the maps of its size.

    A stage is two 3x3 convolutions with GELU; one more, which is strided, halves, and repeating the pixels doubles.
    `channels` are those of the stages from the image's own size down. Images of any H x W are accepted.

    Source: after Ronneberger, Fischer & Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation,
    arXiv 1505.04597.
    """

    normalised_input = True
    dense = True  # it returns features of each pixel

    def __init__(self, in_channels: int, image_size: tuple[int, int], channels: Sequence[int] = (8, 16, 24, 32)):
        super().__init__()
        if len(channels) < 2 or min(channels) < 1:
            raise UserError(f"model.network.channels: {list(channels)} given; give at least two numbers above 0")
        pairs = list(pairwise(channels))
        self.first = _stage(in_channels, channels[0])
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(above, below, 3, stride=2, padding=1), nn.GELU(), _stage(below, below))
            for above, below in pairs
        )
        self.up = nn.ModuleList(_stage(above + below, above) for above, below in reversed(pairs))
        self.feature_dim = channels[0]
        keep_variance(self)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim, H, W)."""
        maps = [self.first(image)]
        for stage in self.down:
            maps.append(stage(maps[-1]))
        found = maps.pop()
        for stage in self.up:
            beside = maps.pop()
            repeated = functional.interpolate(found, beside.shape[-2:])
            found = stage(torch.cat([beside, repeated], dim=1))
        return found


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for count in (channels_in, channels_out):
        layers += [nn.Conv2d(count, channels_out, 3, padding=1), nn.GELU()]
    return nn.Sequential(*layers)
