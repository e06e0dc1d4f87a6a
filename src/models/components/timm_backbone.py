"""Any backbone of the timm library, by name."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.utils.errors import UserError

FILE_ARGUMENTS = ("weights",)  # of TimmBackbone: files that it reads
# of timm.create_model: they read or download files; a model from a checkpoint does not need them
FILE_OPTIONS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")
# of timm.create_model: numbers, switches and names of layers, which a checkpoint may set
PLAIN_OPTIONS = frozenset(
    {
        *("act_layer", "attn_drop_rate", "attn_mlp_ratio", "attn_ratio", "avg_down", "base_width"),
        *("cardinality", "channels", "class_token", "conv_bias", "conv_mlp", "conv_ratio", "depth"),
        *("depths", "dim", "dim_mul", "dims", "downsamples", "drop_block_rate", "drop_path_rate"),
        *("drop_rate", "dropout", "dynamic_img_pad", "dynamic_img_size", "embed_dim", "embed_dims"),
        *("expand_ratio", "fc_norm", "final_norm", "fix_stem", "global_pool", "groups", "growth_rate"),
        *("head_dim", "head_hidden_size", "head_init_scale", "head_mul", "head_norm_first", "heads"),
        *("img_size", "init_values", "key_dim", "kernel_size", "kernel_sizes"),
        *("layer_scale_init_value", "layers", "ls_init_value", "mlp_ratio", "mlp_ratios"),
        *("no_embed_class", "norm_eps", "norm_layer", "num_features", "num_heads", "num_init_features"),
        *("num_kv_heads", "output_stride", "pad_type", "patch_drop_rate", "patch_kernel"),
        *("patch_padding", "patch_size", "patch_stride", "pool_type", "pos_drop_rate", "pre_norm"),
        *("proj_drop_rate", "q_pool", "q_stride", "qk_norm", "qkv_bias", "rope_temperature"),
        *("scale_mlp", "sr_ratios", "stages", "stem_chs", "stem_norm", "stem_size", "stem_type"),
        *("strict_img_size", "swiglu_mlp", "transformer_depths", "use_fc_norm", "use_grn"),
        *("use_pos_embed", "use_post_norm", "width", "width_factor", "widths", "window_ratio"),
        *("window_size", "zero_init_last"),
    }
)


class TimmBackbone(nn.Module):
    """A timm model without its classifier; its pooled features are the backbone's.

    `options` are passed to `timm.create_model`. `weights` is a local file of pretrained weights (safetensors, or a
    torch file, read as tensors only), which timm adapts to the number of channels; without it the weights are random.
    Images with a side below `min_size` are enlarged to it, since most models halve five times. Most models have batch
    norm, which distorts the level of an image: prefer a model without.

    Source: https://github.com/huggingface/pytorch-image-models (Wightman, 2019).
    """

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        name: str,
        weights: str | None = None,
        min_size: int = 32,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        try:
            import timm  # an optional extra
        except ImportError as error:
            raise UserError("model.network: timm is not installed; install it with: uv pip install timm") from error
        if not timm.is_model(name):
            close = difflib.get_close_matches(name, timm.list_models(), n=1)
            raise UserError(
                f"model.network.name: timm has no model '{name}'."
                + (f" Did you mean '{close[0]}'?" if close else " timm.list_models() lists them.")
            )
        if weights and not Path(weights).is_file():
            raise UserError(f"model.network.weights: {weights} does not exist; give a file, or null for random weights")
        self.min_size = min_size
        size = self._enlarged(image_size)
        settings: dict[str, Any] = {"num_classes": 0, "in_chans": in_channels, **(options or {})}
        pretrained = timm.get_pretrained_cfg(name)
        if pretrained and pretrained.fixed_input_size:
            settings.setdefault("img_size", size)
        if weights:
            settings |= {"pretrained": True, "pretrained_cfg_overlay": {"file": weights}}
        try:
            self.network = timm.create_model(name, **settings)
            self.network.eval()  # batch norm cannot train on a single image
            with torch.no_grad():
                self.feature_dim = self(torch.zeros(1, in_channels, *image_size)).shape[1]
        except (TypeError, ValueError, RuntimeError, AssertionError, LookupError) as error:
            raise UserError(
                f"model.network: timm's {name} refuses images of {size[0]}x{size[1]}x{in_channels}, its options or "
                f"its weights ({' '.join(str(error).split())[:200]}); change min_size, options or name"
            ) from error
        self.train()

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""
        height, width = image.shape[-2:]
        size = self._enlarged((height, width))
        if size != (height, width):
            image = functional.interpolate(image, size, mode="bilinear", align_corners=False)
        return self.network(image)

    def _enlarged(self, size: tuple[int, int]) -> tuple[int, int]:
        return max(size[0], self.min_size), max(size[1], self.min_size)
