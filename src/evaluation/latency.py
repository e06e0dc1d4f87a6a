"""How long a network takes for one image."""

import statistics
import time
from collections.abc import Mapping

import torch

from src.models.vimh_lit_module import AUXILIARY_INPUTS, VIMHLitModule

_ROUNDS = 11  # whose median is taken; other work on the machine affects few of them
_REPEATS = 20


def latencies_ms(models: Mapping[str, VIMHLitModule]) -> dict[str, float]:
    """Return the milliseconds from one image to its parameters and intervals, on one core of the CPU.

    The models take turns, so that other work on the machine affects all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for turn in range(_ROUNDS + 1):
                for name, model in models.items():
                    taken = _seconds(model)
                    if turn:  # the first fills caches
                        seconds[name].append(taken)
    finally:
        torch.set_num_threads(threads)
    return {name: 1000 * statistics.median(taken) for name, taken in seconds.items()}


def _seconds(model: VIMHLitModule) -> float:
    image, scale = torch.zeros(1, *model.spec.image_shape), torch.full((1, AUXILIARY_INPUTS), 0.5)
    began = time.perf_counter()
    for _ in range(_REPEATS):
        model.predict(image, scale)
    return (time.perf_counter() - began) / _REPEATS
