"""Fully connected layers on windows of spectral frames, which are merged in time."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from src.models.components.blocks import SILU_GAIN, keep_variance
from src.models.components.padding import SILENCE
from src.utils.errors import UserError


class FrameMLP(nn.Module):
    """A linear layer and SiLU on windows of frames with all their frequencies, then on merged neighbours.

    The first layer reads `spans[0]` frames at a time, each next layer `spans[i]` of its predecessor's windows; layer i
    has `widths[i]` outputs, and its weights are the same at all times. The windows do not overlap, so that each layer
    is one product of matrices, which CPUs compute faster than convolutions of few channels. Finally all windows are
    flattened to `feature_dim`. Frequencies have their own weights: a filter is where it is. There is no norm, which
    would erase levels, so the initial weights keep the variance instead. Frames of silence complete the last window.
    """

    normalised_input = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        spans: Sequence[int] = (4, 2),
        widths: Sequence[int] = (64, 64),
        feature_dim: int = 24,
    ):
        super().__init__()
        if len(spans) != len(widths) or not spans or min(*spans, *widths, feature_dim) < 1:
            raise UserError(
                f"model.network: spans {list(spans)}, widths {list(widths)}, feature_dim {feature_dim} given; "
                "give as many spans as widths, and numbers of at least 1"
            )
        self.image_shape = (in_channels, *image_size)
        self.spans = tuple(spans)
        whole = math.prod(spans)
        self.missing = -image_size[1] % whole  # frames in the last window
        sizes = [in_channels * image_size[0], *widths]
        self.layers = nn.ModuleList(nn.Linear(sizes[at] * span, sizes[at + 1]) for at, span in enumerate(spans))
        windows = (image_size[1] + self.missing) // whole
        self.project = nn.Linear(windows * widths[-1], feature_dim)
        self.feature_dim = feature_dim
        keep_variance(self, SILU_GAIN)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim); raise UserError for images of another size."""
        if image.shape[1:] != self.image_shape:
            built, given = ("x".join(map(str, shape)) for shape in (self.image_shape, image.shape[1:]))
            raise UserError(f"FrameMLP: built for CxHxW images of {built}, but {given} given; use another model")
        frames = functional.pad(image, (0, self.missing), value=SILENCE).flatten(1, 2).mT  # (B, W, C * H)
        for span, layer in zip(self.spans, self.layers, strict=True):
            windows = frames.reshape(len(frames), frames.shape[1] // span, span * frames.shape[2])
            frames = functional.silu(layer(windows))
        return functional.silu(self.project(frames.flatten(1)))
