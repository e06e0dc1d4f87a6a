"""One prediction, step by step: how long each takes, and whether the values are usable."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from src.evaluation.attribution import silence
from src.evaluation.predict import as_trained, make_front_end
from src.evaluation.rerender import rendering_source
from src.models.vimh_lit_module import AUXILIARY_INPUTS, VIMHLitModule

REPEATS = 50


@dataclass(frozen=True)
class ForwardPass:
    """The steps of one prediction with the median time (s) of each, and the values (P,), if the task predicts any."""

    sound: str
    seconds: dict[str, float]
    values: np.ndarray


def middle_sound(model: VIMHLitModule, trust: tuple[str, ...] = ()) -> tuple[str, np.ndarray]:
    """Return what it is, and a sound (T,) for a model with a front end: from the middle of the ranges, or silence."""
    source = rendering_source(model.spec, trust) if model.spec.targets is not None else None
    if source is None:
        return "silence", np.zeros(make_front_end(model.spec).num_samples, np.float32)
    middle = source.synth.space.denormalize(np.full((1, len(source.synth.space)), 0.5))
    return "a sound from the middle of the ranges", source.synth.render(middle)[:, 0]


@torch.inference_mode()
def time_forward(model: VIMHLitModule, sound: str, clip: np.ndarray | None, repeats: int = REPEATS) -> ForwardPass:
    """Predict a clip (T,) `repeats` times; without a clip, a black image is predicted and no front end is timed."""
    seconds = {}
    image, scale = silence(model.spec), torch.zeros(1, AUXILIARY_INPUTS)
    if clip is not None:
        front_end, audio = make_front_end(model.spec), torch.from_numpy(clip)[None]
        seconds["front end"], (image, scale) = _median(lambda: front_end(audio), repeats)
        image = as_trained(front_end, image)
    seconds["network"], features = _median(lambda: model.features(image, scale), repeats)
    seconds["heads"], values = _median(lambda: model.heads.values(model.heads(features)), repeats)
    return ForwardPass(sound, seconds, values[0].numpy())


def _median(step: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median duration of a step after a first, unmeasured one, and its result."""
    result, durations = step(), []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations), result
