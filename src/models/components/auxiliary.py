"""Scalar inputs in addition to the image, joined to a backbone's features."""

import torch
from torch import Tensor, nn

from src.utils.errors import UserError

_HIDDEN = 16  # enough for a few scalars


class AuxiliaryInputs(nn.Module):
    """A small MLP of N scalars that joins features (B, D) after any backbone.

    `concat` appends the MLP's outputs to the features; `film` scales and shifts each feature by them and
    starts as the identity.

    Source: Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, arXiv 1709.07871.
    """

    def __init__(self, num_inputs: int, feature_dim: int, join: str):
        super().__init__()
        if join not in ("concat", "film"):
            raise UserError(f"model.auxiliary: {join!r} given; give concat, film, or null for none")
        self.join = join
        out = 2 * feature_dim if join == "film" else _HIDDEN
        last = nn.Linear(_HIDDEN, out)
        self.mlp = nn.Sequential(nn.Linear(num_inputs, _HIDDEN), nn.GELU(), last)
        self.feature_dim = feature_dim if join == "film" else feature_dim + _HIDDEN
        if join == "film":
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, features: Tensor, scalars: Tensor) -> Tensor:
        """Map features (B, D) and scalars (B, N), each about -1..1, to features (B, feature_dim)."""
        joined = self.mlp(scalars)
        if self.join == "concat":
            return torch.cat([features, joined], dim=1)
        scale, shift = joined.chunk(2, dim=1)
        return features * (1.0 + scale) + shift
