"""A plain strided CNN that keeps where things are: time is decay, height is pitch and cutoff."""

from collections.abc import Sequence

from torch import Tensor, nn


class SimpleCNN(nn.Module):
    """Conv 3x3, batch norm, GELU a stage; then a grid of `grid_size` cells, flattened, to `feature_dim`.

    Strided convolutions instead of pooling, and a flattened grid instead of a global mean, since a
    parameter shows in where energy lies. The grid is a mean over cells, so any H x W goes in.
    """

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
            raise ValueError(f"channels {list(channels)} and strides {list(strides)} must be as long as each other")
        stages: list[nn.Module] = []
        for width_in, width_out, stride in zip([in_channels, *channels[:-1]], channels, strides, strict=True):
            stages += [
                nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(width_out),
                nn.GELU(),
            ]
        self.stages = nn.Sequential(*stages)
        grid = []
        for size, cells in zip(image_size, grid_size, strict=True):
            for stride in strides:
                size = (size - 1) // stride + 1
            # a divisor of the size, since MPS pools to nothing else
            grid.append(max(cell for cell in range(1, min(cells, size) + 1) if size % cell == 0))
        self.pool = nn.AdaptiveAvgPool2d(tuple(grid))
        self.project = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels[-1] * grid[0] * grid[1], feature_dim),
            nn.GELU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
        )
        self.feature_dim = feature_dim

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        return self.project(self.pool(self.stages(image)))
