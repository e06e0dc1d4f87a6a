"""Parts of several backbones: a grid of cells to features, and initial weights that keep the variance."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from src.utils.errors import UserError

# 1 / rms of the activation of a standard normal, as He et al. (arXiv 1502.01852) derive sqrt(2) for ReLU
GELU_GAIN = 1.533
SILU_GAIN = 1.677


class GridMean(nn.Module):
    """Mean over each cell of a grid of at most `cells`, for maps of `size`; the last row and column may be smaller.

    Maps of another size are divided into the same number of cells, which on MPS must divide the size.
    """

    def __init__(self, size: Sequence[int], cells: Sequence[int]):
        super().__init__()
        if len(cells) != 2 or min(cells) < 1:
            raise UserError(f"model.network.grid_size: {list(cells)} given; give two numbers of cells, each at least 1")
        self.size = tuple(size)
        self.cell = (-(-size[0] // cells[0]), -(-size[1] // cells[1]))
        self.grid = (-(-size[0] // self.cell[0]), -(-size[1] // self.cell[1]))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, *grid)."""
        if maps.shape[-2:] != self.size:
            return functional.adaptive_avg_pool2d(maps, self.grid)
        return maps if self.cell == (1, 1) else functional.avg_pool2d(maps, self.cell, ceil_mode=True)


def grid_features(
    channels: int, size: Sequence[int], grid_size: Sequence[int], feature_dim: int, dropout: float
) -> nn.Sequential:
    """Map feature maps (B, channels, *size) to (B, feature_dim): mean of each cell, flatten, linear, GELU.

    It uses a grid instead of a global mean, since parameters determine where the energy is.
    """
    if feature_dim < 1:
        raise UserError(f"model.network.feature_dim: {feature_dim} given; give at least 1")
    pool = GridMean(size, grid_size)
    return nn.Sequential(
        pool,
        nn.Flatten(),
        nn.Linear(channels * pool.grid[0] * pool.grid[1], feature_dim),
        nn.GELU(),
        nn.Dropout(dropout) if dropout else nn.Identity(),
    )


def keep_variance(network: nn.Module, gain: float = GELU_GAIN) -> None:
    """Draw all kernels and matrices so that activations keep their variance without a norm; biases are zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
