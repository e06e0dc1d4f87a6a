"""Which samples are kept: conditions on labels, and what is wrong with images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from src.data.build.plan import column_of
from src.data.build.pool import Pool
from src.data.overlap import hash_rows
from src.parameters.codec import to_class, to_unit
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError, shown

Conditions = Mapping[str, Sequence[Any]]  # by parameter: [least, greatest], or categories

_BLOCK_BYTES = 2**23  # of the images that are read at once
_BRIGHT = 0.001  # share of an image's pixels at 255, above which it is clipped: that of the check of a whole dataset


def limits_of(spec: ParameterSpec, given: Sequence[Any]) -> tuple[float, float]:
    """Return the least and the greatest value that a condition [low, high] allows; null leaves one end open."""
    low, high = (*given, None, None)[:2]
    numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in given)
    if len(given) != 2 or not numbers:
        raise UserError(
            f"filter.{spec.name}: {shown(list(given))} given; give [least, greatest], or null for one of them"
        )
    least, greatest = spec.min if low is None else float(low), spec.max if high is None else float(high)
    if least > greatest or least > spec.max or greatest < spec.min:
        raise UserError(
            f"filter.{spec.name}: {shown(list(given))} given; give a part of {spec.describe_range(with_step=False)}"
        )
    return least, greatest


def categories_of(spec: ParameterSpec, given: Sequence[Any]) -> list[float]:
    """Return the values of the categories that a condition lists by name, or by number if they have no names."""
    known: Mapping[Any, float] = (
        {name: spec.min + at for at, name in enumerate(spec.values)}
        if spec.values is not None
        else {spec.min + at * spec.step: spec.min + at * spec.step for at in range(spec.num_classes)}
    )
    for name in given:
        if name not in known:
            raise UserError(f"filter.{spec.name}: {shown(name)} is no category; give some of {shown([*known])}")
    return [known[name] for name in given]


def matches(space: ParameterSpace, values: np.ndarray, conditions: Conditions) -> np.ndarray:
    """Return (n,) bool: which labels (n, P) satisfy all conditions.

    A condition is [least, greatest], both included, or the categories of a categorical parameter.
    """
    kept = np.ones(len(values), bool)
    for name, given in conditions.items():
        at = column_of(space, name, "filter")
        spec, column = space.varying[at], values[:, at]
        if spec.kind == "categorical":
            kept &= np.isin(np.round(column), categories_of(spec, given))
            continue
        least, greatest = limits_of(spec, given)
        kept &= (column >= np.float32(least)) & (column <= np.float32(greatest))
    return kept


def unit_limits(space: ParameterSpace, conditions: Conditions) -> np.ndarray:
    """Return the least and the greatest place (P, 2) in [0, 1] of labels that can satisfy all conditions.

    That of a parameter which is not continuous is the part of [0, 1] that its classes divide equally.
    """
    limits = np.tile([0.0, 1.0], (len(space), 1))
    for name, given in conditions.items():
        at = column_of(space, name, "filter")
        spec = space.varying[at]
        ends = categories_of(spec, given) if spec.kind == "categorical" else limits_of(spec, given)
        pair = np.clip([min(ends), max(ends)], spec.min, spec.max)
        if spec.kind == "continuous":
            limits[at] = to_unit(spec, pair)
        else:
            limits[at] = (to_class(spec, pair) + np.array([0, 1])) / spec.num_classes
    return limits


def unwanted(pool: Pool, samples: np.ndarray, values: np.ndarray, kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """Return for each kind of `drop` which samples (n,) of a pool, with labels `values` (n, P), are of it, (n,) bool.

    A silent image has one level in all pixels of its first channel. In a clipped one more than 0.1 % of these are at
    255. A duplicate has the labels and the image of a sample that is kept: one of test, else of val, else of train.
    """
    spectral = pool.spec.origin.spectral
    if "clipped" in kinds and (spectral is None or spectral.image_scaling == "per_sample"):
        raise UserError(
            "drop: clipped given, but the dB range of these images is not known or is their own; leave it out"
        )
    found = {kind: np.zeros(len(samples), bool) for kind in kinds}
    if {"silent", "clipped"} & set(kinds):
        for rows, images in image_blocks(pool, samples):
            pixels = images[:, 0].reshape(len(images), -1)
            if "silent" in found:
                found["silent"][rows] = pixels.max(axis=1) == pixels.min(axis=1)
            if "clipped" in found:
                found["clipped"][rows] = (pixels == 255).mean(axis=1) > _BRIGHT
    if "duplicates" in found:
        found["duplicates"] = _later_copies(pool, samples, values)
    return found


def _later_copies(pool: Pool, samples: np.ndarray, values: np.ndarray) -> np.ndarray:
    rank = {"test": 0, "val": 1, "train": 2}
    ranks = np.array([rank[part.split] for part in pool.parts])[pool.part_of(samples)]
    order = np.lexsort((samples, ranks))
    _, first = np.unique(content_keys(pool, samples, values)[order], return_index=True)
    is_later = np.ones(len(samples), bool)
    is_later[order[first]] = False
    return is_later


def content_keys(pool: Pool, samples: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return a number (n,) int64 for each sample of a pool, equal for those with the same labels, `values` (n, P), and
    the same image.

    Only images of samples with equal labels are read.
    """
    _, by_label, sizes = np.unique(hash_rows(values), return_inverse=True, return_counts=True)
    keys = by_label.astype(np.int64)
    again = np.flatnonzero(sizes[by_label] > 1)
    contents = np.empty((len(again), 2), np.uint64)
    contents[:, 0] = by_label[again]
    for rows, images in image_blocks(pool, samples[again]):
        contents[rows, 1] = _hash_images(images)
    if len(again):
        _, own = np.unique(contents, axis=0, return_inverse=True)
        keys[again] = len(sizes) + own.reshape(-1)
    return keys


def _hash_images(images: np.ndarray) -> np.ndarray:
    """Return hashes (n,) uint64 of images (n, C, H, W) uint8."""
    flat = images.reshape(len(images), -1)
    padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8)))
    words = padded.view("<u8")
    factors = np.random.Generator(np.random.Philox(key=0)).integers(0, 2**64, words.shape[1], np.uint64) | np.uint64(1)
    mixed = (words ^ (words >> np.uint64(29))) * factors
    return mixed.sum(axis=1, dtype=np.uint64)


def image_blocks(pool: Pool, samples: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows of `samples`, their images (b, C, H, W) uint8) in blocks that fit into memory."""
    size = max(1, _BLOCK_BYTES // int(np.prod(pool.spec.image_shape)))
    for start in range(0, len(samples), size):
        rows = np.arange(start, min(start + size, len(samples)))
        yield rows, pool.images(samples[rows])[0]
