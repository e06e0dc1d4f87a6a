"""Which pixels of an image a prediction depends on: integrated gradients and Grad-CAM++, for all parameters at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from src.data.spec import DatasetSpec
from src.evaluation.predict import make_front_end
from src.models.tasks.parameters import parameters_of
from src.models.tasks.task import Outputs
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

STEPS = 64
MOST_STEPS = 2048
_MOST_IMAGES = 512  # in one pass: with more, memory would grow and the time would not shrink
_INCOMPLETE = 0.01  # of the difference between the scores
_NEGLIGIBLE = 1e-3  # of a score: a thousandth of the range


@dataclass(frozen=True)
class Attributions:
    """What each pixel of an image adds to the score of each parameter; see src.models.heads.head.Head.score.

    The pixels of a parameter sum to the difference between its scores for the image and for the baseline.
    """

    pixels: Tensor  # (P, C, H, W) float32
    scores: Tensor  # (P,), for the image
    baseline_scores: Tensor  # (P,)

    @property
    def errors(self) -> Tensor:
        """By how much the sums of the pixels differ from the differences between the scores, (P,)."""
        return (self.pixels.sum(dim=(1, 2, 3)) - (self.scores - self.baseline_scores)).abs()

    @property
    def is_complete(self) -> bool:
        """Whether the errors are at most 1 % of the differences, or a thousandth of a parameter's range."""
        allowed = _INCOMPLETE * (self.scores - self.baseline_scores).abs()
        return bool((self.errors <= allowed.clamp_min(_NEGLIGIBLE)).all())


def silence(spec: DatasetSpec) -> Tensor:
    """Return the image (1, C, H, W) of silence, or a black image if the dataset's images show no sounds."""
    if spec.origin.spectral is None:
        return torch.full((1, *spec.image_shape), spec.inputs.value_range[0])
    front_end = make_front_end(spec)
    return front_end(torch.zeros(1, front_end.num_samples))[0]


@torch.enable_grad()
def integrated_gradients(
    model: VIMHLitModule, image: Tensor, scale: Tensor | None, baseline: Tensor, steps: int = STEPS
) -> Attributions:
    """Attribute the scores of a model in eval mode to the pixels of an image (1, C, H, W).

    The gradients on the straight path from the baseline to the image are integrated by a Gauss-Legendre rule of `steps`
    points. `scale`, the dB range (1, 2), is the same along the path.

    Source: Sundararajan, Taly, Yan, Axiomatic Attribution for Deep Networks, arXiv 1703.01365, equation 1.
    """
    with torch.no_grad():
        explained = _outputs(model, image, scale)
        ends = _scores(model, _outputs(model, torch.cat([image, baseline]), scale), explained)
    points, weights = (torch.as_tensor(row, dtype=image.dtype) for row in np.polynomial.legendre.leggauss(steps))
    positions = ((1.0 + points) / 2.0).to(image.device)[:, None, None, None]
    weights = (weights / 2.0).to(image.device)[:, None, None, None]
    count = len(ends)
    mean = image.new_zeros(count, *image.shape[1:])
    for at in torch.arange(steps, device=image.device).split(max(1, _MOST_IMAGES // count)):
        path = torch.lerp(baseline, image, positions[at]).repeat(count, 1, 1, 1).requires_grad_()  # a copy for each
        own = _own_scores(model, _outputs(model, path, scale), explained)
        (gradients,) = torch.autograd.grad(own.sum(), path)
        mean += (gradients.view(count, len(at), *image.shape[1:]) * weights[at]).sum(dim=1)
    return Attributions(mean * (image - baseline), *ends.unbind(dim=1))


def complete_gradients(
    model: VIMHLitModule, image: Tensor, scale: Tensor | None, most_steps: int = MOST_STEPS
) -> Attributions:
    """Return integrated gradients from silence; steps are added until they are complete, at most `most_steps`."""
    baseline, steps = silence(model.spec).to(image), STEPS
    found = integrated_gradients(model, image, scale, baseline, steps)
    while not found.is_complete and steps < most_steps:
        steps *= 2
        found = integrated_gradients(model, image, scale, baseline, steps)
    return found


@torch.enable_grad()
def grad_cam_plus_plus(model: VIMHLitModule, image: Tensor, scale: Tensor | None) -> Tensor:
    """Return maps (P, H, W) in [0, 1] of where the last feature maps of a network raise each parameter's score.

    The model is in eval mode; the image is (1, C, H, W), its dB range (1, 2). A map is all 0 if nothing raises the
    score. Raises UserError if the network does not end in feature maps: transformers and plain MLPs have none.

    Source: Chattopadhay et al., Grad-CAM++, arXiv 1710.11063, equations 5 and 19.
    """
    count = len(parameters_of(model).heads)
    copies = image.repeat(count, 1, 1, 1).requires_grad_()  # so that the maps have gradients also with frozen weights
    outputs, maps = _with_last_maps(model, copies, scale)
    own = _own_scores(model, outputs, {name: raw[:1] for name, raw in outputs.items()})
    (gradients,) = torch.autograd.grad(own.sum(), maps)
    # equation 19, whose terms have a common factor; its maps are those of a ReLU, and below 0 it would have no bound
    share = 1.0 / (2.0 + maps.sum(dim=(2, 3), keepdim=True) * gradients).clamp_min(1.0)
    weights = (share * gradients.relu()).sum(dim=(2, 3), keepdim=True)
    seen = (weights * maps).sum(dim=1, keepdim=True).relu().detach()
    return _onto_unit(functional.interpolate(_onto_unit(seen), image.shape[2:], mode="bilinear"))[:, 0]


def _onto_unit(maps: Tensor) -> Tensor:
    """Scale each of maps (P, 1, H, W) to [0, 1]."""
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low), 0.0)


def _with_last_maps(model: VIMHLitModule, images: Tensor, scale: Tensor | None) -> tuple[Outputs, Tensor]:
    """Return a model's outputs, and the last feature maps (B, K, h, w) that lead to them."""
    last: Tensor | None = None

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal last
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            last = output
        elif isinstance(output, Tensor) and output.ndim == 3:  # tokens: attention mixes their positions
            last = None

    hooks = [part.register_forward_hook(keep) for part in model.network.modules()]
    try:
        outputs = _outputs(model, images, scale)
    finally:
        for hook in hooks:
            hook.remove()
    if last is None:
        name = type(model.network).__name__
        raise UserError(f"Grad-CAM++ needs a network that ends in feature maps, such as a CNN; {name} does not")
    return outputs, last


def _outputs(model: VIMHLitModule, images: Tensor, scale: Tensor | None) -> Outputs:
    """Return the raw outputs for images (B, C, H, W) of one dB range (1, 2), in float32."""
    outputs = model(images, None if scale is None else scale.expand(len(images), -1))
    return {name: raw.float() for name, raw in outputs.items()}


def _scores(model: VIMHLitModule, outputs: Outputs, explained: Outputs) -> Tensor:
    """Return all scores, (P, B)."""
    heads = parameters_of(model).heads
    return torch.stack([head.score(outputs[name], explained[name]) for name, head in heads.items()])


def _own_scores(model: VIMHLitModule, outputs: Outputs, explained: Outputs) -> Tensor:
    """Return the scores (P, B / P) of batches of P equal parts, each part's by another head."""
    heads = parameters_of(model).heads
    scores = []
    for at, (name, head) in enumerate(heads.items()):
        part = outputs[name].chunk(len(heads))[at]
        scores.append(head.score(part, explained[name]))
    return torch.stack(scores)
