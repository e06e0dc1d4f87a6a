"""A small EfficientNet (Tan & Le, arXiv 1905.11946): inverted residuals with squeeze-and-excitation, without a norm."""

from collections.abc import Sequence

from torch import Tensor, nn

from src.models.components.blocks import SILU_GAIN, grid_features, keep_variance
from src.models.components.drop_path import DropPath, drop_path_rates
from src.utils.errors import UserError


class SqueezeExcite(nn.Module):
    """Scale each channel by a function of the means of all channels (Hu et al., arXiv 1709.01507)."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(channels, squeezed), nn.SiLU(), nn.Linear(squeezed, channels), nn.Sigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        gate = 2.0 * self.gate(maps.mean(dim=(2, 3)))  # so that it begins at about 1
        return maps * gate[:, :, None, None]


class MBConv(nn.Module):
    """Expand by 1x1, depthwise 3x3, squeeze and excite, project by 1x1; with a skip if the shape is unchanged.

    Also called the inverted residual (Sandler et al., arXiv 1801.04381). The squeezed width is a
    quarter of the block's input, as in EfficientNet.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int, drop_path: float):
        super().__init__()
        wide = in_channels * expansion
        self.expand = nn.Sequential(*([nn.Conv2d(in_channels, wide, 1), nn.SiLU()] if expansion > 1 else []))
        self.branch = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride=stride, padding=1, groups=wide),
            nn.SiLU(),
            SqueezeExcite(wide, max(1, in_channels // 4)),
            nn.Conv2d(wide, out_channels, 1),
        )
        self.has_skip = stride == 1 and in_channels == out_channels
        self.drop_path = DropPath(drop_path)

    def init_ends_(self) -> None:
        """Remove the gain of the expansion, whose input is not activated; with a skip, begin as the identity."""
        if len(self.expand):
            self.expand[0].get_parameter("weight").data /= SILU_GAIN
        if self.has_skip:
            nn.init.zeros_(self.branch[-1].get_parameter("weight"))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride), rounded up."""
        branch = self.branch(self.expand(maps))
        return maps + self.drop_path(branch) if self.has_skip else branch


class SimpleEfficientNet(nn.Module):
    """A strided stem, stages of MBConv blocks, and a grid of cells to `feature_dim`.

    A stage is (channels, blocks, stride, expansion). There is no norm, which would distort the level of an image:
    initial weights keep the variance, and a block with a skip begins as the identity. `drop_path` is the fraction of
    samples that skip the last block; it rises linearly from 0 at the first (stochastic depth, Huang et al., arXiv
    1603.09382). Images of any H x W are accepted.
    """

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        stem_channels: int = 16,
        stages: Sequence[Sequence[int]] = ((16, 1, 1, 1), (24, 1, 2, 2), (32, 2, 2, 4)),
        grid_size: Sequence[int] = (4, 4),
        feature_dim: int = 84,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ):
        super().__init__()
        for stage in stages:
            if len(stage) != 4:
                raise UserError(
                    f"model.network.stages: {list(stage)} given; a stage is [channels, blocks, stride, expansion]"
                )
        layers: list[nn.Module] = [nn.Conv2d(in_channels, stem_channels, 3, stride=2, padding=1), nn.SiLU()]
        size, channels = [-(-side // 2) for side in image_size], stem_channels
        rows = [
            (width, stride if at == 0 else 1, expansion)
            for width, blocks, stride, expansion in stages
            for at in range(blocks)
        ]
        for (width, stride, expansion), rate in zip(rows, drop_path_rates(drop_path, len(rows)), strict=True):
            layers.append(MBConv(channels, width, stride, expansion, rate))
            size, channels = [-(-side // stride) for side in size], width
        self.stages = nn.Sequential(*layers, nn.SiLU())
        self.project = grid_features(channels, size, grid_size, feature_dim, dropout)
        self.feature_dim = feature_dim
        keep_variance(self, SILU_GAIN)
        for block in self.stages:
            if isinstance(block, MBConv):
                block.init_ends_()

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        return self.project(self.stages(image))
