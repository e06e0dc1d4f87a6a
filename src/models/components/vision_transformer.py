"""Vision transformer: patches as tokens, attention between them, learned positions."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.models.components.blocks import keep_variance
from src.models.components.drop_path import DropPath, drop_path_rates
from src.models.components.padding import SILENCE, as_pair, num_patches, pad_to_patches
from src.utils.errors import UserError

Pooling = Literal["cls", "mean", "cls+mean"]
POSITION_STD = 0.5  # similar to a patch's embedding, so that norms remove neither


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, each a residual branch (Xiong et al., arXiv 2002.04745)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0, dropout: float = 0.0, drop_path: float = 0.0):
        super().__init__()
        if dim % heads:
            raise UserError(f"model.network.heads: {heads} heads do not divide dim {dim}; give a divisor")
        hidden = round(dim * mlp_ratio)
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, hidden)
        self.contract = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, dim) to tokens of the same shape."""
        tokens = tokens + self.drop_path(self.dropout(self._attend(self.attention_norm(tokens))))
        hidden = self.dropout(functional.gelu(self.expand(self.mlp_norm(tokens))))
        return tokens + self.drop_path(self.dropout(self.contract(hidden)))

    def _attend(self, tokens: Tensor) -> Tensor:
        shape = tokens.shape
        query, key, value = self.query_key_value(tokens).view(*shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.project(mixed.transpose(1, 2).reshape(shape))


class TransformerEncoder(nn.Module):
    """Blocks over a sequence of tokens, then one vector per sample: the class token, the mean, or both.

    Without `final_norm` the output is the unchanged sum of all branches, which keeps its size and so the level.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        pooling: Pooling = "mean",
        dropout: float = 0.0,
        drop_path: float = 0.0,
        final_norm: bool = True,
    ):
        super().__init__()
        if pooling not in ("cls", "mean", "cls+mean"):
            raise UserError(f"model.network.pooling: '{pooling}' given; give cls, mean or cls+mean")
        self.pooling = pooling
        self.feature_dim = 2 * dim if pooling == "cls+mean" else dim
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim)) if "cls" in pooling else None
        rates = drop_path_rates(drop_path, depth)
        self.blocks = nn.Sequential(*(TransformerBlock(dim, heads, mlp_ratio, dropout, rate) for rate in rates))
        self.norm = nn.LayerNorm(dim) if final_norm else nn.Identity()
        if self.class_token is not None:
            nn.init.normal_(self.class_token, std=POSITION_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, dim) to features (B, feature_dim)."""
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = self.norm(self.blocks(tokens))
        if self.pooling == "cls":
            return tokens[:, 0]
        if self.pooling == "mean":
            return tokens.mean(dim=1)
        return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)


class PatchEmbedding(nn.Module):
    """Halve an image by each 3x3 convolution of the stem, and make one token per patch.

    With a few convolutions before the patches, a transformer trains at higher rates and in fewer epochs (Xiao et al.,
    arXiv 2106.14881). Patch and stride are in pixels of the image; its end is padded with silence until patches
    cover it.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        patch_size: int | Sequence[int],
        stride: int | Sequence[int],
        stem_channels: Sequence[int] = (),
    ):
        super().__init__()
        self.patch_size, self.stride = as_pair(patch_size), as_pair(stride)
        halved = 2 ** len(stem_channels)
        if any(size < 1 or size % halved for size in (*self.patch_size, *self.stride)):
            raise UserError(
                f"model.network: patches of {self.patch_size} every {self.stride} pixels; "
                f"give multiples of {halved}, since the stem halves {len(stem_channels)} times"
            )
        stem: list[nn.Module] = []
        for width_in, width_out in zip([in_channels, *stem_channels], stem_channels, strict=False):
            stem += [nn.Conv2d(width_in, width_out, 3, stride=2, padding=1), nn.GELU()]
        self.stem = nn.Sequential(*stem)
        patch, step = ((rows // halved, columns // halved) for rows, columns in (self.patch_size, self.stride))
        self.patches = nn.Conv2d([in_channels, *stem_channels][-1], dim, patch, stride=step)

    def grid(self, image_size: Sequence[int]) -> list[int]:
        """Return the rows and columns of patches that cover an image."""
        return list(map(num_patches, image_size, self.patch_size, self.stride))

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to tokens (B, dim, rows, columns)."""
        return self.patches(self.stem(pad_to_patches(image, self.patch_size, self.stride, SILENCE)))


class VisionTransformer(nn.Module):
    """Dosovitskiy et al. (arXiv 2010.11929), with patches of any shape on images of any shape."""

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        patch_size: int | Sequence[int] = (32, 2),
        stem_channels: Sequence[int] = (8,),
        dim: int = 24,
        depth: int = 2,
        heads: int = 3,
        mlp_ratio: float = 2.0,
        pooling: Pooling = "mean",
        dropout: float = 0.0,
        drop_path: float = 0.0,
        final_norm: bool = True,
    ):
        super().__init__()
        self.embedding = PatchEmbedding(in_channels, dim, patch_size, patch_size, stem_channels)
        self.positions = nn.Parameter(torch.zeros(1, dim, *self.embedding.grid(image_size)))
        self.encoder = TransformerEncoder(dim, depth, heads, mlp_ratio, pooling, dropout, drop_path, final_norm)
        self.feature_dim = self.encoder.feature_dim
        keep_variance(self, gain=1.0)
        nn.init.normal_(self.positions, std=POSITION_STD)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        maps = self.embedding(image)
        maps = maps + resized(self.positions, maps.shape[2:])
        return self.encoder(maps.flatten(2).transpose(1, 2))


def resized(positions: Tensor, grid: Sequence[int]) -> Tensor:
    """Interpolate positions (1, D, rows, columns) if an image has another grid than in training."""
    if positions.shape[2:] == tuple(grid):
        return positions
    return functional.interpolate(positions, size=tuple(grid), mode="bilinear", align_corners=False)
