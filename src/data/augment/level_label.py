"""A label that is the level of a sound: a gain moves it, so that it stays true."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.data.augment.sound import raised
from src.data.source import Source
from src.parameters.codec import to_physical, to_unit
from src.parameters.spec import ParameterSpec

_SOUNDS = 16
_TRIED_DB = 2.0  # gain by which a label is tried
_TOLERANCE = 1.0 / 255.0  # mean over the pixels that both images show: their rounding
_TINY = 1e-9  # of an amplitude of 0


class LevelLabel(NamedTuple):
    """The parameter in a column of the targets, whose value is a level in dB or proportional to the amplitude."""

    column: int
    spec: ParameterSpec

    def room(self, target: Tensor) -> Tensor:
        """Return by how many dB (B,) the level of targets (B, P) is above the lowest of its range."""
        value = to_physical(self.spec, target[:, self.column])
        lowest = torch.full_like(value, self.spec.min)
        return value - lowest if self.spec.unit == "dB" else _decibels(value) - _decibels(lowest)

    def moved(self, target: Tensor, decibels: Tensor) -> tuple[Tensor, Tensor]:
        """Return targets (B, P) after a gain (B,), and the gain, limited so that labels stay within their range."""
        spec = self.spec
        value = to_physical(spec, target[:, self.column])
        level = value if spec.unit == "dB" else _decibels(value)
        low, high = (torch.full_like(value, end) for end in (spec.min, spec.max))
        if spec.unit != "dB":
            low, high = _decibels(low), _decibels(high)
        decibels = torch.minimum(torch.maximum(decibels, low - level), high - level)
        value = value + decibels if spec.unit == "dB" else value * 10.0 ** (decibels / 20.0)
        target = target.clone()
        target[:, self.column] = to_unit(spec, value).clamp(0.0, 1.0)
        return target, decibels


def _decibels(amplitude: Tensor) -> Tensor:
    return 20.0 * amplitude.clamp_min(_TINY).log10()


def find_level_label(source: Source) -> LevelLabel | None:
    """Return the first parameter that, by rendering, acts as a level on every sound tried; None if none does."""
    space = source.synth.space
    values = space.sample(source.recipe.dataset.seed, 0, _SOUNDS).astype(np.float64)
    plain, levels = source.float_images(values)
    images, scale = torch.from_numpy(plain), torch.from_numpy(levels)
    targets = torch.from_numpy(space.normalize(values))
    turns = torch.tensor([-_TRIED_DB, _TRIED_DB], dtype=torch.float64).repeat(_SOUNDS // 2)
    for column, spec in enumerate(space):
        if spec.kind == "categorical":
            continue
        label = LevelLabel(column, spec)
        moved, decibels = label.moved(targets, turns)
        wanted = raised(images, decibels.float()[:, None, None, None], scale)
        found = torch.from_numpy(source.float_images(space.denormalize(moved.numpy()))[0])
        seen = (wanted > 0) & (found > 0) & (wanted < 1) & (found < 1)
        apart = ((wanted - found).abs() * seen).sum(dim=(1, 2, 3)) / seen.sum(dim=(1, 2, 3)).clamp_min(1)
        if decibels.abs().median() > 0.1 and bool((apart < _TOLERANCE).all()):
            return label
    return None
