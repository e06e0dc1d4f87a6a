"""What a prediction depends on: maps of its image, and the bands of frequencies and times that matter most."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.data.spec import DatasetSpec
from src.evaluation.attribution import MOST_STEPS, complete_gradients, grad_cam_plus_plus
from src.evaluation.image_axes import pixel_edges
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Explanation:
    """What a prediction for an image (C, H, W) in [0, 1] depends on, for each of P parameters."""

    image: np.ndarray
    values: np.ndarray  # (P,), in the parameters' units
    gradients: np.ndarray  # (P, H, W): integrated gradients, summed over the channels; above 0 they raise the value
    cams: np.ndarray | None  # (P, H, W) in [0, 1]: Grad-CAM++; None if the network has no last feature maps
    bands: list[str]  # of each parameter: where half of the absolute integrated gradients lie


def explain(model: VIMHLitModule, image: Tensor, scale: Tensor | None, most_steps: int = MOST_STEPS) -> Explanation:
    """Explain the prediction of a model in eval mode for an image (1, C, H, W) and its dB range (1, 2).

    `most_steps` bounds the steps of the integration, and thus the time.
    """
    weights = next(model.parameters())
    image = image.clone().to(weights)  # an image from inference mode has no gradients
    scale = None if scale is None else scale.clone().to(weights)
    found = complete_gradients(model, image, scale, most_steps)
    if not found.is_complete:
        worst = model.spec.space.names[int(found.errors.argmax())]
        log.warning("integrated gradients of %s are inaccurate, even with %d steps", worst, most_steps)
    try:
        cams = grad_cam_plus_plus(model, image, scale).cpu().numpy()
    except UserError:  # the network has none
        cams = None
    with torch.no_grad():
        values = model.values(image, scale)[0].cpu().numpy()
    bands = [_band(model.spec, pixels.abs().sum(dim=0).cpu().numpy()) for pixels in found.pixels]
    return Explanation(image[0].cpu().numpy(), values, found.pixels.sum(dim=1).cpu().numpy(), cams, bands)


def half_of(weights: np.ndarray) -> tuple[int, int]:
    """Return the shortest range [first, end) of weights (n,) >= 0 that holds at least half of their sum."""
    cumulative = np.concatenate([[0.0], np.cumsum(weights, dtype=np.float64)])
    ends = np.searchsorted(cumulative, cumulative + 0.5 * cumulative[-1] * (1.0 - 1e-9))
    lengths = np.where(ends < len(cumulative), ends - np.arange(len(cumulative)), len(weights) + 1)
    first = int(lengths.argmin())
    return first, int(ends[first])


def _band(spec: DatasetSpec, weights: np.ndarray) -> str:
    """Return in words where half of the weights (H, W) lie, along either axis."""
    if not weights.any():
        return "no pixel matters"
    rows, frames, (row_unit, frame_unit) = pixel_edges(spec, weights.shape)
    (low, high), (start, end) = half_of(weights.sum(axis=1)), half_of(weights.sum(axis=0))
    if row_unit != "Hz":
        return f"{row_unit}s {low} to {high - 1}, {frame_unit}s {start} to {end - 1}"
    times = f"{max(0.0, frames[start]):.2f} to {frames[end]:.2f} s"
    return f"{rows[low]:,.0f} to {rows[high]:,.0f} Hz, {times}"
