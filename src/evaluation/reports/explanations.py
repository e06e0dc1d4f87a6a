"""What predictions depend on, as data of a page: maps as bytes, and bands in words."""

from typing import Any

import numpy as np
import torch

from src.data.dataset import images_to_float
from src.evaluation.explain import Explanation, explain
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reports.examples import chosen_rows
from src.evaluation.reports.page import packed
from src.evaluation.reports.pictures import block_sums
from src.models.vimh_lit_module import VIMHLitModule

_EXAMPLES = 3  # best, median and worst: a tenth of a second each for a small CNN with four parameters
_MOST_SIDE = 64  # pixels of a map: the maps of ten parameters of three sounds have 0.3 MB
_MOST_STEPS = 128  # of an integration: the page is written within seconds; almost all are complete after 64


def explain_examples(
    predictions: SplitPredictions, model: VIMHLitModule | None, true: tuple[list[np.ndarray], np.ndarray] | None
) -> tuple[list[dict[str, Any]], str]:
    """Return the `explanation_data` of the first examples, and a sentence for all others.

    `true` are the images (C, H, W) of the examples, uint8 or float32, and their dB ranges (k, 2), if they are known.
    """
    if model is None:
        return [], "No explanations: the checkpoint of these predictions is not here."
    if true is None:
        return [], "No explanations: the images of these predictions are not here."
    images, scale = (part[:_EXAMPLES] for part in true)
    rows = list(chosen_rows(predictions))[:_EXAMPLES]
    if any(image.shape != model.spec.image_shape for image in images) or not np.isfinite(predictions.value[rows]).all():
        return [], "No explanations: the images have several shapes, or the predictions are not finite."
    found = []
    for image, ends in zip(images, scale, strict=True):
        batch = images_to_float(torch.from_numpy(image))[None], torch.from_numpy(ends)[None]
        found.append(explanation_data(model, explain(model, *batch, _MOST_STEPS)))
    return found, "The page explains the best, the median and the worst only, so that it stays small."


def explanation_data(model: VIMHLitModule, explanation: Explanation) -> dict[str, Any]:
    """Return `size` (h, w), `bands` and the maps (P, h, w) of an explanation as bytes, row 0 at the top of a picture.

    `gradients`: the square root of a pixel's share of the largest, 128 + 127 if it raises the value, 128 - 127 if it
    lowers it; `cams`: 0 to 255, or None.
    """
    height, width = explanation.gradients.shape[1:]
    size = min(height, _MOST_SIDE), min(width, _MOST_SIDE)
    upright = slice(None, None, -1 if model.spec.inputs.kind == "spectral" else 1)
    means = _means(explanation.gradients, size)
    largest = np.abs(means).max(axis=(1, 2), keepdims=True)
    share = np.sqrt(np.abs(means) / np.maximum(largest, 1e-12))  # 0 if nothing matters
    gradients = np.rint(128 + 127 * np.sign(means) * share).astype(np.uint8)
    cams = None
    if explanation.cams is not None:
        cams = packed(np.rint(255 * _means(explanation.cams, size)).astype(np.uint8)[:, upright])
    return {"size": size, "bands": explanation.bands, "gradients": packed(gradients[:, upright]), "cams": cams}


def _means(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    sums, area = block_sums(maps.astype(np.float64), size)
    return sums / area
