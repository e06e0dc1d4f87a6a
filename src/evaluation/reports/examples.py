"""The few samples that a report shows whole: which ones, their images, their sounds, their refined parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src.data.dataset import BatchDataset
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reports.page import data_url
from src.evaluation.reports.panels import reasons_by_row, relative_errors
from src.evaluation.reports.pictures import png
from src.evaluation.reports.sounds import encoded_sounds
from src.spectral.decibels import to_decibels

_SOUND_VALUES = 2**21  # samples of all sounds in a page: about 4 MB as FLAC


def chosen_rows(predictions: SplitPredictions) -> dict[int, str]:
    """Return rows and why they are shown: best, median and worst by the mean error, then the worst of each head."""
    errors = relative_errors(predictions)
    order = np.argsort(errors.mean(axis=1), kind="stable")
    places = [("best", 0), ("median", len(order) // 2), ("worst overall", -1)]
    wanted = [(int(order[place]), why) for why, place in places]
    if len(predictions.space) > 1:
        worst = np.argmax(errors, axis=0)
        wanted += [(int(row), f"worst {name}") for row, name in zip(worst, predictions.space.names, strict=True)]
    return reasons_by_row(wanted)


def true_images(
    truth: np.ndarray, rows: Sequence[int], dataset: BatchDataset | None, source: Source | None
) -> tuple[list[np.ndarray], np.ndarray] | None:
    """Return the images of the examples, k arrays (C, H, W), and their dB ranges (k, 2).

    They are those of the dataset, or rendered from the true values (k, P); None without both.
    """
    if dataset is not None:
        batches = [dataset.__getitems__([row]) for row in rows]  # one by one, as shapes may differ
        scales = [batch["scale"][0].numpy() if "scale" in batch else np.zeros(2) for batch in batches]
        return [batch["image"][0].numpy() for batch in batches], np.stack(scales)
    if source is None:
        return None
    images, scale = source.images(_double(truth))
    return list(images), scale


def make_examples(
    chosen: Mapping[int, str],
    values: Mapping[str, np.ndarray],
    spec: DatasetSpec | None,
    true: tuple[list[np.ndarray], np.ndarray] | None,
    source: Source | None,
    most: int = _SOUND_VALUES,
) -> list[dict[str, Any]]:
    """Return each example's row, why it is shown, its images and its sounds, as data of a page.

    `chosen` are k rows and why they are shown, `values` what is rendered (k, P): the true values as `true`, and others.
    `true` are the `true_images`. All sounds together have at most `most` samples.
    """
    values = {kind: one for kind, one in values.items() if np.isfinite(one).all()}  # of a network that diverged
    examples: list[dict[str, Any]] = [{"row": row, "why": why} for row, why in chosen.items()]
    pictures = None if spec is None or true is None else _images(spec, *true, source, values)
    sounds = None if source is None else {kind: source.sounds(_double(one)) for kind, one in values.items()}
    for number, example in enumerate(examples):
        if pictures is not None:
            files = {kind: png(images[number]) for kind, images in pictures.items()}
            example["images"] = {kind: data_url("image/png", file) for kind, file in files.items()}
        if source is not None and sounds is not None:
            clips = {kind: sound[number] for kind, sound in sounds.items()}
            longest = most // (len(chosen) * len(clips))
            example |= encoded_sounds(clips, source.front_end.sample_rate, longest)
    return examples


def _images(
    spec: DatasetSpec,
    true: list[np.ndarray],
    scale: np.ndarray,
    source: Source | None,
    values: Mapping[str, np.ndarray],
) -> dict[str, list[np.ndarray]]:
    """Return the first channel of each kind of image, k arrays (H, W) uint8 on the dB range of the true image.

    Only the true ones if the source is unknown. Spectral images have their lowest frequency at the bottom.
    """
    upright = slice(None, None, -1 if spec.inputs.kind == "spectral" else 1)
    found = {"true": [as_bytes(image[0], spec)[upright] for image in true]}
    if source is None:
        return found
    for kind in [name for name in values if name != "true"]:
        images, own_scale = source.images(_double(values[kind]))
        decibels = to_decibels(images[:, 0] / np.float32(255.0), own_scale)
        found[kind] = []
        for level, (low, high) in zip(decibels, scale, strict=True):
            share = np.clip((level - low) / max(high - low, 1e-6), 0.0, 1.0)
            found[kind].append(np.rint(255.0 * share).astype(np.uint8)[upright])
    return found


def as_bytes(images: np.ndarray, spec: DatasetSpec) -> np.ndarray:
    """Return images as uint8 levels; images of floats are in the value range of the dataset."""
    if images.dtype == np.uint8:
        return images
    low, high = spec.inputs.value_range
    return np.rint(np.clip((images - low) / (high - low), 0.0, 1.0) * 255.0).astype(np.uint8)


def _double(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float64)
