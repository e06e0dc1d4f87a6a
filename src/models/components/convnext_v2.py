"""ConvNeXt V2: depthwise convolutions, layer norm, and global response normalisation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.models.components.blocks import GridMean, keep_variance
from src.models.components.drop_path import DropPath, drop_path_rates
from src.models.components.padding import SILENCE, as_pair, num_patches, pad_to_patches
from src.utils.errors import UserError

_EPSILON = 1e-6


class GlobalResponseNorm(nn.Module):
    """Scale each channel by its norm over the map, relative to the mean of all norms (arXiv 2301.00808, eq. 3).

    Begins as the identity: gamma and beta are zero.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        norms = torch.linalg.vector_norm(maps, dim=(1, 2), keepdim=True)
        relative = norms / (norms.mean(dim=-1, keepdim=True) + _EPSILON)
        return torch.addcmul(self.beta, maps, 1.0 + self.gamma * relative)


class ConvNeXtV2Block(nn.Module):
    """Depthwise k x k, norm, expand by four, GELU, GRN, contract: a residual branch."""

    def __init__(self, channels: int, kernel_size: int = 7, drop_path: float = 0.0):
        super().__init__()
        padding = kernel_size // 2
        self.depthwise = nn.Conv2d(channels, channels, kernel_size, padding=padding, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.expand = nn.Linear(channels, 4 * channels)
        self.response_norm = GlobalResponseNorm(4 * channels)
        self.contract = nn.Linear(4 * channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        branch = self.norm(self.depthwise(maps).permute(0, 2, 3, 1))
        branch = self.contract(self.response_norm(functional.gelu(self.expand(branch))))
        return maps + self.drop_path(branch.permute(0, 3, 1, 2))


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel of (B, C, H, W).

    It is one fused kernel between two permutes, which do not copy.
    """

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _norm(channels: int) -> ChannelNorm:
    return ChannelNorm(channels, eps=_EPSILON)


class Downsample(nn.Module):
    """Reduce patches of `stride` pixels to one pixel; the map is padded with zeros to whole patches."""

    def __init__(self, channels_in: int, channels_out: int, stride: tuple[int, int]):
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(channels_in, channels_out, self.stride, stride=self.stride)

    def forward(self, maps: Tensor) -> Tensor:
        return self.convolution(pad_to_patches(maps, self.stride, self.stride))


class ConvNeXtV2(nn.Module):
    """Woo et al. (arXiv 2301.00808): a patch stem, then stages of blocks at half the size each.

    The published tiny network has depths (3, 3, 9, 3), dims (96, 192, 384, 768), stem_stride 4. The final maps are
    averaged over `grid_size` cells and flattened: one cell, as published, or more, to keep where the energy is.
    Without `final_norm` the features also keep the amount of energy.
    """

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        depths: Sequence[int] = (1, 1),
        dims: Sequence[int] = (16, 32),
        stem_stride: int | Sequence[int] = 4,
        kernel_size: int = 7,
        grid_size: Sequence[int] = (1, 1),
        drop_path: float = 0.0,
        final_norm: bool = True,
    ):
        super().__init__()
        if len(depths) != len(dims) or not dims:
            raise UserError(f"model.network: {len(depths)} depths and {len(dims)} dims; give one of each per stage")
        if kernel_size % 2 == 0:
            raise UserError(f"model.network.kernel_size: {kernel_size} given; give an odd size")
        strides = [as_pair(stem_stride), *[(2, 2)] * (len(dims) - 1)]
        rates = iter(drop_path_rates(drop_path, sum(depths)))
        layers: list[nn.Module] = []
        channels = in_channels
        self._stem_stride = strides[0]
        for depth, width, stride in zip(depths, dims, strides, strict=True):
            down = Downsample(channels, width, stride)
            layers += [_norm(channels), down] if layers else [down, _norm(width)]
            layers += [ConvNeXtV2Block(width, kernel_size, next(rates)) for _ in range(depth)]
            channels = width
        self.layers = nn.Sequential(*layers)
        size = list(image_size)
        for stride in strides:
            size = list(map(num_patches, size, stride, stride))
        self.pool = GridMean(size, grid_size)
        self.norm = _norm(channels) if final_norm else nn.Identity()
        self.feature_dim = channels * self.pool.grid[0] * self.pool.grid[1]
        keep_variance(self, gain=1.0)
        # the norm after it removes a patch's size: with a bias, its level remains as a direction
        nn.init.normal_(self.layers[0].get_parameter("convolution.bias"))

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        padded = pad_to_patches(image, self._stem_stride, self._stem_stride, SILENCE)
        return self.norm(self.pool(self.layers(padded))).flatten(1)
