"""Time forward and backward of our multi-resolution STFT loss and of auraloss's at the same settings, in turns."""

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.models.losses.sound.multi_scale import MultiScaleSpectralLoss
from src.models.losses.sound.stft import MultiResolutionSTFTLoss

_SHAPE = (8, 44100)  # eight clips of one second


def measure_loss_speed(rounds: int = 7) -> dict[str, float]:
    """Return each loss's median ms of forward + backward, and how many times as fast as auraloss's ours is.

    A ratio is the median over rounds of times measured right after each other. Uses torch's number of threads.
    If auraloss is not installed, its entries are missing.
    """
    generator = torch.Generator().manual_seed(0)
    target = 0.1 * torch.randn(_SHAPE, generator=generator)
    prediction = (target + 0.05 * torch.randn(_SHAPE, generator=generator)).requires_grad_()
    ours, scales = MultiResolutionSTFTLoss(), MultiScaleSpectralLoss()
    prepared, prepared_scales = ours.prepare(target), scales.prepare(target)
    losses: dict[str, Callable[[], Tensor]] = {
        "multi_resolution": lambda: ours(prediction, target),
        "multi_resolution_prepared": lambda: ours(prediction, prepared),
        "multi_scale": lambda: scales(prediction, target),
        "multi_scale_prepared": lambda: scales(prediction, prepared_scales),
    }
    if importlib.util.find_spec("auraloss"):
        import auraloss

        theirs = auraloss.freq.MultiResolutionSTFTLoss()
        losses["auraloss"] = lambda: theirs(prediction[:, None], target[:, None])
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for turn in range(rounds + 1):
        for name, loss in losses.items():
            prediction.grad = None
            began = time.perf_counter()
            loss().backward()
            if turn:  # the first fills caches
                seconds[name].append(time.perf_counter() - began)
    results = {f"{name}_ms": 1000 * statistics.median(taken) for name, taken in seconds.items()}
    for name in ("multi_resolution", "multi_resolution_prepared") if "auraloss" in seconds else ():
        pairs = zip(seconds["auraloss"], seconds[name], strict=True)
        results[f"{name}_ratio"] = statistics.median(theirs / ours for theirs, ours in pairs)
    return results


def main() -> None:
    for threads in (1, 2):
        torch.set_num_threads(threads)
        print(f"{_SHAPE[0]} x 1 s at 44.1 kHz, forward + backward, {threads} thread{'s' * (threads > 1)}")
        for name, value in measure_loss_speed().items():
            print(f"  {name:34}{value:8.1f}" + (" x auraloss's speed" if name.endswith("_ratio") else ""))


if __name__ == "__main__":
    main()
