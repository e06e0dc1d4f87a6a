"""Sounds made again from predicted parameters, and how far their images are from the true ones."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from src.data.origin import source_of
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.utils.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageError:
    """Mean absolute difference of magnitude images, dB, of sounds re-rendered from ..."""

    predicted: float  # the network's values
    floor: float  # the true values, rounded to a record's byte
    baseline: float  # the training split's mean values


def rendering_source(spec: DatasetSpec, trust: Iterable[str] = ()) -> Source | None:
    """Return the synth that made a dataset, or None when its description names none that is here and trusted."""
    if not (spec.generator or {}).get("config"):
        return None
    try:
        return source_of(spec, trust)
    except UserError as error:  # a synth of somebody's own, on another machine: figures and predictions do not need it
        log.warning("%s: its sounds cannot be rendered again here (%s)", spec.name, error)
        return None


def image_error(
    spec: DatasetSpec,
    images: np.ndarray,
    scale: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
    mean: np.ndarray,
    trust: Iterable[str] = (),
) -> ImageError | None:
    """Compare images (n, C, H, W) uint8 with those of re-rendered values (n, P) physical.

    `scale` (n, 2) is what each image's 0 and 255 stand for, in dB. None without a synth.
    """
    source = rendering_source(spec, trust)
    if source is None:
        return None
    reference = _decibels(images, scale)
    candidates = (predicted, spec.space.from_byte(spec.space.to_byte(truth)), np.broadcast_to(mean, truth.shape))
    errors = [float(np.abs(_decibels(*source.images(values)) - reference).mean()) for values in candidates]
    return ImageError(*errors)


def _decibels(images: np.ndarray, scale: np.ndarray) -> np.ndarray:
    low, high = (scale[:, side, None, None] for side in (0, 1))
    return low + images[:, 0].astype(np.float32) / 255.0 * (high - low)
