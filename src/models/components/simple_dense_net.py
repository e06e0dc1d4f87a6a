"""A densely connected network (Huang et al., arXiv 1608.06993), without its batch norm."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.models.components.blocks import grid_features, keep_variance
from src.utils.errors import UserError


class DenseBlock(nn.Module):
    """`num_layers` 3x3 convolutions, each on the block's input and the `growth_rate` maps of all earlier layers.

    Maps are activated where they are computed, not wherever they are read, as in the paper: without a norm in between
    the result is the same, and each map is activated only once.
    """

    def __init__(self, in_channels: int, growth_rate: int, num_layers: int):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(in_channels + at * growth_rate, growth_rate, 3, padding=1), nn.GELU())
            for at in range(num_layers)
        )
        self.out_channels = in_channels + num_layers * growth_rate

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H, W), the input first."""
        for layer in self.layers:
            maps = torch.cat([maps, layer(maps)], dim=1)
        return maps


def transition(in_channels: int, out_channels: int) -> nn.Sequential:
    """Halve height and width (1 stays 1), then reduce the channels, which after pooling costs a quarter."""
    return nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(in_channels, out_channels, 1), nn.GELU())


class SimpleDenseNet(nn.Module):
    """A strided stem, dense blocks with transitions in between, and a grid of cells to `feature_dim`.

    There is no batch norm, which would distort the level of an image; initial weights keep the variance instead. Images
    of any H x W are accepted.
    """

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        stem_channels: int = 16,
        growth_rate: int = 16,
        block_layers: Sequence[int] = (1, 2, 3),
        compression: float = 0.5,
        grid_size: Sequence[int] = (4, 4),
        feature_dim: int = 34,
        dropout: float = 0.0,
    ):
        super().__init__()
        if not block_layers:
            raise UserError("model.network.block_layers: [] given; give the number of layers of at least one block")
        if not 0 < compression <= 1:
            raise UserError(f"model.network.compression: {compression} given; give a fraction above 0, at most 1")
        stages: list[nn.Module] = [nn.Conv2d(in_channels, stem_channels, 3, stride=2, padding=1), nn.GELU()]
        channels = stem_channels
        for at, num_layers in enumerate(block_layers):
            if at:
                kept = max(1, int(channels * compression))
                stages.append(transition(channels, kept))
                channels = kept
            block = DenseBlock(channels, growth_rate, num_layers)
            stages.append(block)
            channels = block.out_channels
        self.stages = nn.Sequential(*stages)
        shrink = 2 ** len(block_layers)  # the stem's stride and one halving per transition, each rounded up
        self.project = grid_features(
            channels, [-(-size // shrink) for size in image_size], grid_size, feature_dim, dropout
        )
        self.feature_dim = feature_dim
        keep_variance(self)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        return self.project(self.stages(image))
