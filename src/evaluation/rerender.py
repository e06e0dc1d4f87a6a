"""Render sounds from predicted parameters and compare their images with the true images."""

import logging
from collections.abc import Iterable, Mapping
from numbers import Real

import numpy as np

from src.data.dataset import BatchDataset
from src.data.origin import source_of
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.parameters.space import ParameterSpace
from src.spectral.decibels import to_decibels
from src.utils.errors import UserError, shown

log = logging.getLogger(__name__)

_BATCH = 512  # sounds in memory at once: 16 MB of 8,000 samples


def rendering_source(spec: DatasetSpec, trust: Iterable[str] = ()) -> Source | None:
    """Return the synth that made a dataset, or None if its description names no available, trusted synth."""
    if not spec.origin.recipe:
        return None
    try:
        return source_of(spec, trust)
    except UserError as error:  # a user's own synth is not on this machine; predictions do not need it
        log.warning("%s: its sounds cannot be rendered here (%s)", spec.name, error)
        return None


def row_of(space: ParameterSpace, values: Mapping[str, float]) -> np.ndarray:
    """Return values by name, in their units, as the row (1, P) that a synth renders.

    Raises UserError for a missing or unknown name, and for a value outside of its range.
    """
    for name in space.names:
        if name not in values:
            raise UserError(f"values: {name} is missing; give {', '.join(space.names)}")
    for name in values:
        if name not in space.names:
            raise UserError(f"values: {shown(name)} is no parameter of this model; give {', '.join(space.names)}")
    for spec in space:
        value, slack = values[spec.name], 1e-6 * (spec.max - spec.min)  # slack for the rounding of float32
        if not (isinstance(value, Real) and spec.min - slack <= value <= spec.max + slack):
            raise UserError(
                f"values: {spec.name} is {shown(value)}; give {spec.min:g} to {spec.max:g} {spec.unit}".rstrip()
            )
    row = np.array([[values[name] for name in space.names]], np.float64)
    return np.clip(row, space.min, space.max)


def image_errors(source: Source, dataset: BatchDataset, candidates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the mean absolute difference in dB between each sound's magnitude image and the candidates' images.

    A candidate is a value of each parameter for each sound (n, P), or for all sounds (P,); its errors are (n,).
    """
    errors = {name: np.empty(len(dataset)) for name in candidates}
    constant = {name: source.images(values[None]) for name, values in candidates.items() if values.ndim == 1}
    for start in range(0, len(dataset), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(dataset)))
        batch = dataset.__getitems__(rows)
        true = _decibels(batch["image"].numpy(), batch["scale"].numpy())
        for name, values in candidates.items():
            images, scale = constant[name] if name in constant else source.images(values[rows])
            errors[name][rows] = np.abs(_decibels(images, scale) - true).mean(axis=(1, 2), dtype=np.float64)
    return errors


def _decibels(images: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Map magnitude images (n, C, H, W) uint8 to dB (n, H, W); `scale` (n, 2) is the dB value of 0 and of 255."""
    return to_decibels(images[:, 0].astype(np.float32) / 255.0, scale)
