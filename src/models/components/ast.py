"""Audio spectrogram transformer: overlapping patches, and separate positions for frequency and time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.models.components.blocks import keep_variance
from src.models.components.vision_transformer import POSITION_STD, PatchEmbedding, Pooling, TransformerEncoder, resized


class AudioSpectrogramTransformer(nn.Module):
    """Gong et al. (AST, arXiv 2104.01778), with positions that are the sum of a frequency and a time position.

    The sum (Koutini et al., PaSST, arXiv 2110.05069) needs rows + columns positions instead of rows x columns, and a
    row's position is the same at all times. Patches of `patch_size` begin every `stride` pixels; the end of the image
    is padded with silence until patches cover it.
    """

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        patch_size: int | Sequence[int] = (12, 12),
        stride: int | Sequence[int] = (8, 8),
        stem_channels: Sequence[int] = (8,),
        dim: int = 32,
        depth: int = 2,
        heads: int = 4,
        mlp_ratio: float = 2.0,
        pooling: Pooling = "cls+mean",
        dropout: float = 0.0,
        drop_path: float = 0.0,
        final_norm: bool = True,
    ):
        super().__init__()
        self.embedding = PatchEmbedding(in_channels, dim, patch_size, stride, stem_channels)
        rows, columns = self.embedding.grid(image_size)
        self.frequency_positions = nn.Parameter(torch.zeros(1, dim, rows, 1))
        self.time_positions = nn.Parameter(torch.zeros(1, dim, 1, columns))
        self.encoder = TransformerEncoder(dim, depth, heads, mlp_ratio, pooling, dropout, drop_path, final_norm)
        self.feature_dim = self.encoder.feature_dim
        keep_variance(self, gain=1.0)
        nn.init.normal_(self.frequency_positions, std=POSITION_STD)
        nn.init.normal_(self.time_positions, std=POSITION_STD)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        maps = self.embedding(image)
        rows, columns = maps.shape[2:]
        maps = maps + resized(self.frequency_positions, (rows, 1)) + resized(self.time_positions, (1, columns))
        return self.encoder(maps.flatten(2).transpose(1, 2))
