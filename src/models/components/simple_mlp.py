"""Fully connected layers on the flattened image: every pixel has its own weights."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from src.models.components.blocks import keep_variance
from src.utils.errors import UserError


class SimpleMLP(nn.Module):
    """A linear layer and GELU for each size in `hidden_sizes`; the last size is `feature_dim`."""

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        hidden_sizes: Sequence[int] = (64, 32),
        dropout: float = 0.0,
    ):
        super().__init__()
        if not hidden_sizes:
            raise UserError("model.network.hidden_sizes: [] given; give the size of at least one layer")
        self.image_shape = (in_channels, *image_size)
        layers: list[nn.Module] = [nn.Flatten()]
        for size_in, size_out in pairwise([math.prod(self.image_shape), *hidden_sizes]):
            layers += [nn.Linear(size_in, size_out), nn.GELU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers)
        self.feature_dim = hidden_sizes[-1]
        keep_variance(self)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim); raise UserError for images of another size."""
        if image.shape[1:] != self.image_shape:
            built, given = ("x".join(map(str, shape)) for shape in (self.image_shape, image.shape[1:]))
            raise UserError(
                f"SimpleMLP: built for CxHxW images of {built}, but {given} given; use a model with convolutions"
            )
        return self.layers(image)
