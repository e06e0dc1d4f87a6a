"""Measure which parameters a transform imitates: how its change of images follows from changes of parameters."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from src.data.augment.random import sample_keys, uniforms
from src.data.augment.transform import Transform
from src.data.jacobian import jacobian
from src.data.source import Source

_SOUNDS = 16  # a median of these
_STEP = 1.0 / 128.0  # of a range: half the difference behind a derivative; an image changes by some levels
_LEAST_CHANGE = 0.5 / 255.0  # mean of an image; smaller changes are rounding
_LEAST_SOUNDS = 4  # that a transform must change


class Imitation(NamedTuple):
    """How much of a transform's change parameters explain, and by how much they seem to move.

    `explained` is the share of the squared change of an image that is a sum of its derivatives by the parameters, the
    median over sounds. `moves` (P,) are the coefficients of that sum, the medians of their sizes, in ranges.
    """

    explained: float
    moves: np.ndarray


def measure_imitations(source: Source, transforms: Mapping[str, Transform]) -> dict[str, Imitation]:
    """Return how transforms imitate parameters, by the transforms' names, for the first sounds of a dataset.

    Categories have no derivative and are held.
    """
    space = source.synth.space
    values = space.normalize(space.sample(source.recipe.dataset.seed, 0, _SOUNDS).astype(np.float64))
    plain, levels = source.float_images(space.denormalize(values))
    images, scale = torch.from_numpy(plain), torch.from_numpy(levels)
    steps = np.array([0.0 if spec.kind == "categorical" else _STEP for spec in space])
    derivatives = jacobian(lambda unit: source.float_images(space.denormalize(unit))[0], values, steps)
    shape = source.front_end.image_shape
    found = {}
    for name, transform in transforms.items():
        drawn = uniforms(sample_keys(torch.arange(len(images)), 0, 0, name), transform.draws(shape))
        changes = (transform.change(images, drawn, scale).clamp(0.0, 1.0) - images).flatten(1).double().numpy()
        found[name] = _explain(changes, derivatives)
    return found


def _explain(changes: np.ndarray, derivatives: np.ndarray) -> Imitation:
    """Fit changes (n, cells) by derivatives (n, P, cells), each sound for itself."""
    shares, moves = [], []
    for change, by_parameter in zip(changes, derivatives, strict=True):
        if np.abs(change).mean() < _LEAST_CHANGE:
            continue
        coefficients = np.linalg.lstsq(by_parameter.T, change, rcond=None)[0]
        rest = change - coefficients @ by_parameter
        shares.append(1.0 - rest @ rest / (change @ change))
        moves.append(np.abs(coefficients))
    if len(shares) < _LEAST_SOUNDS:
        return Imitation(0.0, np.zeros(derivatives.shape[1]))
    return Imitation(float(np.median(shares)), np.median(moves, axis=0))
