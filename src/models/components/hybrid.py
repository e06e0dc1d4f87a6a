"""A ConvNeXt and a transformer in parallel, combined by a learned gate."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.models.components.blocks import keep_variance
from src.models.components.convnext_v2 import ConvNeXtV2
from src.models.components.padding import SILENCE
from src.models.components.vision_transformer import VisionTransformer
from src.utils.errors import UserError


class HybridBackbone(nn.Module):
    """Local features a of a `ConvNeXtV2` and global features b of a transformer: features = g * a + (1 - g) * b.

    Both branches are projected to `feature_dim`; the gate g (B, feature_dim) in 0..1 is a sigmoid of a linear layer on
    both, so each feature of each sample chooses its branch. `transformer` is "vit", a `VisionTransformer`, or "swinv2",
    Swin V2 (Liu et al., arXiv 2111.09883) from timm. `convnext_config` and `transformer_config` are the options of the
    branches.
    """

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        transformer: Literal["vit", "swinv2"] = "vit",
        convnext_config: dict | None = None,
        transformer_config: dict | None = None,
        feature_dim: int = 32,
    ):
        super().__init__()
        builders = {"vit": VisionTransformer, "swinv2": SwinV2}
        if transformer not in builders:
            raise UserError(f"model.network.transformer: '{transformer}' given; give vit or swinv2")
        self.convnext = ConvNeXtV2(in_channels, image_size, **(convnext_config or {}))
        self.transformer = builders[transformer](in_channels, image_size, **(transformer_config or {}))
        widths = self.convnext.feature_dim, self.transformer.feature_dim
        self.projections = nn.ModuleList(nn.Linear(width, feature_dim) for width in widths)
        self.gate = nn.Linear(2 * feature_dim, feature_dim)
        self.feature_dim = feature_dim
        for layer in (self.projections, self.gate):
            keep_variance(layer, gain=1.0)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        branches = self.convnext(image), self.transformer(image)
        local, whole = (project(branch) for project, branch in zip(self.projections, branches, strict=True))
        return torch.lerp(whole, local, self.gate(torch.cat([local, whole], dim=1)).sigmoid())


class SwinV2(nn.Module):
    """timm's Swin V2 on images of one size, padded with silence until patches, windows and halvings fit."""

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        patch_size: int = 4,
        window_size: int = 4,
        dim: int = 16,
        depths: Sequence[int] = (1, 1),
        heads: Sequence[int] = (2, 4),
        drop_path: float = 0.0,
    ):
        super().__init__()
        try:
            from timm.models.swin_transformer_v2 import SwinTransformerV2
        except ImportError as error:
            raise UserError("model.network.transformer: swinv2 needs timm; uv pip install timm") from error
        unit = patch_size * window_size * 2 ** (len(depths) - 1)
        self.image_size = tuple(-(-size // unit) * unit for size in image_size)
        self.swin = SwinTransformerV2(
            img_size=self.image_size,
            patch_size=patch_size,
            in_chans=in_channels,
            num_classes=0,
            embed_dim=dim,
            depths=tuple(depths),
            num_heads=tuple(heads),
            window_size=window_size,
            drop_path_rate=drop_path,
        )
        self.feature_dim = self.swin.num_features

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        rows, columns = (built - given for built, given in zip(self.image_size, image.shape[2:], strict=True))
        if min(rows, columns) < 0:  # a negative padding would silently crop
            raise UserError(f"model.network: swinv2 was built for {self.image_size} pixels; {tuple(image.shape)} given")
        return self.swin(functional.pad(image, (0, columns, 0, rows), value=SILENCE))
