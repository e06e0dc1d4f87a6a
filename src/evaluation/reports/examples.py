"""The few samples that a report shows whole: which ones, their images, their sounds, their refined parameters."""

import base64
import io
import logging
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import soundfile

from src.data.dataset import BatchDataset
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.refinement.answers import make_refiner
from src.evaluation.refinement.options import Options
from src.evaluation.reports.page import data_url
from src.evaluation.reports.panels import relative_errors
from src.evaluation.reports.pictures import png
from src.models.heads.multi_head import Estimates
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.decibels import to_decibels
from src.utils.errors import UserError

log = logging.getLogger(__name__)

_MOST_EXAMPLES = 12
_SOUND_VALUES = 2**21  # samples of all sounds in a page: about 4 MB as FLAC


def chosen_rows(predictions: SplitPredictions) -> dict[int, str]:
    """Return rows and why they are shown: best, median and worst by the mean error, then the worst of each head."""
    errors = relative_errors(predictions)
    order = np.argsort(errors.mean(axis=1), kind="stable")
    places = [("best", 0), ("median", len(order) // 2), ("worst", -1)]
    wanted = [(int(order[place]), why) for why, place in places]
    if len(predictions.space) > 1:
        worst = np.argmax(errors, axis=0)
        wanted += [(int(row), f"worst {name}") for row, name in zip(worst, predictions.space.names, strict=True)]
    rows: dict[int, str] = {}
    for row, why in wanted[:_MOST_EXAMPLES]:
        rows[row] = f"{rows[row]}, {why}" if row in rows else why
    return rows


def true_images(
    predictions: SplitPredictions, dataset: BatchDataset | None, source: Source | None
) -> tuple[list[np.ndarray], np.ndarray] | None:
    """Return the images of the examples, k arrays (C, H, W), and their dB ranges (k, 2).

    They are those of the dataset, or rendered from the true values; None without both.
    """
    rows = list(chosen_rows(predictions))
    if dataset is not None:
        batches = [dataset.__getitems__([row]) for row in rows]  # one by one, as shapes may differ
        scales = [batch["scale"][0].numpy() if "scale" in batch else np.zeros(2) for batch in batches]
        return [batch["image"][0].numpy() for batch in batches], np.stack(scales)
    if source is None:
        return None
    images, scale = source.images(_double(predictions.truth[rows]))
    return list(images), scale


def make_examples(
    predictions: SplitPredictions,
    spec: DatasetSpec | None,
    true: tuple[list[np.ndarray], np.ndarray] | None,
    source: Source | None,
    refined: np.ndarray | None,
) -> list[dict[str, Any]]:
    """Return each example's row, why it is shown, images, sounds and refined values, as data of a page.

    `true` are the `true_images`; `refined` (k, P) the refined values of the rows of `chosen_rows`, in that order.
    """
    rows = chosen_rows(predictions)
    at = np.array(list(rows))
    values = {"true": predictions.truth[at], "predicted": predictions.value[at]}
    if refined is not None:
        values["refined"] = refined
    values = {kind: one for kind, one in values.items() if np.isfinite(one).all()}  # of a network that diverged
    examples: list[dict[str, Any]] = [{"row": row, "why": why} for row, why in rows.items()]
    pictures = None if spec is None or true is None else _images(spec, *true, source, values)
    sounds = None if source is None else {kind: source.sounds(_double(one)) for kind, one in values.items()}
    for number, example in enumerate(examples):
        if refined is not None:
            example["refined"] = refined[number].tolist()
        if pictures is not None:
            files = {kind: png(images[number]) for kind, images in pictures.items()}
            example["images"] = {kind: data_url("image/png", file) for kind, file in files.items()}
        if source is not None and sounds is not None:
            clips = {kind: sound[number] for kind, sound in sounds.items()}
            example |= encoded_sounds(clips, source.front_end.sample_rate, _SOUND_VALUES // (len(at) * len(clips)))
    return examples


def refine_rows(
    model: VIMHLitModule,
    spec: DatasetSpec,
    true: tuple[list[np.ndarray], np.ndarray],
    predictions: SplitPredictions,
    steps: int,
    trust: Iterable[str] = (),
) -> np.ndarray | None:
    """Return the refined values (k, P) of the examples; None, and a warning, if they cannot be refined."""
    rows = list(chosen_rows(predictions))
    if not np.isfinite(predictions.value[rows]).all():
        return None
    try:
        refiner = make_refiner(model, spec, Options(iterations=steps), trust)
        fields = ("value", "sd", "low_68", "high_68", "low_90", "high_90")
        estimates = Estimates(*(_double(getattr(predictions, name)[rows]) for name in fields))
        images = np.stack(true[0]).astype(np.float32) / np.float32(255.0)
        return refiner.refine(estimates, images, true[1], recorded=False)[0].values
    except UserError as error:  # the report is complete without
        log.warning("the report's samples are not refined: %s", error)
        return None


def _images(
    spec: DatasetSpec, true: list[np.ndarray], scale: np.ndarray, source: Source | None, values: dict[str, np.ndarray]
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


def encoded_sounds(clips: dict[str, np.ndarray], sample_rate: int, most: int) -> dict[str, Any]:
    """Return `sounds`, each clip (T,) as FLAC in base64, and a `note` if they are quieter or shorter than rendered.

    All clips have the same gain, so that their levels can be compared. Only the first `most` samples are kept.
    """
    peak = max(float(np.abs(clip).max()) for clip in clips.values())
    gain = 1.0 / peak if peak > 1.0 else 1.0
    notes = []
    if gain < 1.0:
        notes.append(f"All its sounds are {-20 * math.log10(gain):.1f} dB quieter here, since the loudest would clip.")
    if max(map(len, clips.values())) > most:
        notes.append(f"Only the first {most / sample_rate:.1f} s are in this page.")
    sounds = {}
    for kind, clip in clips.items():
        content = io.BytesIO()
        soundfile.write(content, gain * clip[:most], sample_rate, format="FLAC", subtype="PCM_16")
        sounds[kind] = base64.b64encode(content.getvalue()).decode()
    return {"sounds": sounds, "note": " ".join(notes)}


def _double(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float64)
