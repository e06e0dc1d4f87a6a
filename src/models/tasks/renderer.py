"""Sounds and images of predicted parameters, with gradients."""

import torch
from torch import Tensor, nn

from src.data.source import Source
from src.parameters.codec import to_physical
from src.utils.errors import UserError


class Renderer(nn.Module):
    """The synth and the front end of a dataset as functions of tensors.

    Raises UserError for a voice without a differentiable twin.
    """

    def __init__(self, source: Source):
        super().__init__()
        synth = source.synth
        if synth.voice.differentiable is None:
            raise UserError(
                f"voice {synth.voice.name} has no differentiable twin, so no loss can compare its sounds; "
                "give loss=labels or loss=pnp, or write the twin as in docs/differentiable_voices.md"
            )
        self.voice, self.space, self.config = synth.voice, synth.space, synth.config
        self.front_end = source.front_end

    def sounds(self, values: Tensor) -> Tensor:
        """Render parameters (B, P) in physical units -> sounds (B, T), full scale +-1."""
        # a fixed pitch stays exact in float64, which mps does not have
        dtype = torch.float32 if values.device.type == "mps" else torch.float64
        parameters = {
            name: torch.full((len(values),), value, dtype=dtype, device=values.device)
            for name, value in self.space.fixed.items()
        }
        parameters |= dict(zip(self.space.names, values.unbind(dim=1), strict=True))
        settings = {**self.voice.settings, **self.config.settings}
        assert self.voice.differentiable is not None
        return self.voice.differentiable(parameters, self.config.sample_rate, self.config.num_samples, **settings)

    def images(self, values: Tensor, scale: Tensor | None = None) -> Tensor:
        """Render parameters (B, P) in physical units -> images (B, C, H, W).

        With `scale` (B, 2), the dB values of 0 and 1 in other images, magnitudes are on the scale of those images.
        """
        images, own = self.front_end(self.sounds(values))
        if scale is None or self.front_end.config.image_scaling == "global":
            return images
        low, high = (ends[:, None, None] for ends in scale.unbind(dim=1))
        own_low, own_high = (ends[:, None, None] for ends in own.unbind(dim=1))
        decibels = own_low + images[:, 0] * (own_high - own_low)
        magnitudes = (decibels - low) / (high - low).clamp_min(1e-6)
        return torch.cat([magnitudes[:, None], images[:, 1:]], dim=1)

    def physical(self, unit: Tensor) -> Tensor:
        """Map labels (B, P) in [0, 1] to physical units."""
        return torch.stack([to_physical(spec, unit[:, at]) for at, spec in enumerate(self.space)], dim=1)
