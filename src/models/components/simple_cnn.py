"""A plain strided CNN that keeps positions: decay is visible along time, pitch and cutoff along frequency."""

from collections.abc import Sequence

from torch import Tensor, nn

from src.models.components.blocks import grid_features, keep_variance
from src.utils.errors import UserError

# 1 / the standard deviation of GELU of a normal (Brock et al., arXiv 2102.06171): activations grow slightly per stage
_GAIN = 1.7


class SimpleCNN(nn.Module):
    """Stages of a 3x3 convolution and GELU, then a grid of `grid_size` cells, flattened, to `feature_dim`.

    It uses strided convolutions instead of pooling, and a flattened grid instead of a global mean, since parameters
    determine where the energy is. There is no batch norm: a level is an offset of the whole image, which the statistics
    of a batch would blur, so the initial weights keep the variance instead. The grid averages over cells, so images of
    any H x W are accepted.
    """

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        channels: Sequence[int] = (8, 16, 16),
        strides: Sequence[int] = (2, 2, 2),
        grid_size: Sequence[int] = (4, 4),
        feature_dim: int = 24,
        dropout: float = 0.0,
    ):
        super().__init__()
        if len(channels) != len(strides) or not channels:
            raise UserError(
                f"model.network: {len(channels)} channels and {len(strides)} strides; give one of each per stage"
            )
        stages: list[nn.Module] = []
        for width_in, width_out, stride in zip([in_channels, *channels[:-1]], channels, strides, strict=True):
            stages += [nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1), nn.GELU()]
        self.stages = nn.Sequential(*stages)
        size = list(image_size)
        for stride in strides:
            size = [(length - 1) // stride + 1 for length in size]
        self.project = grid_features(channels[-1], size, grid_size, feature_dim, dropout)
        self.feature_dim = feature_dim
        keep_variance(self, _GAIN)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        return self.project(self.stages(image))
