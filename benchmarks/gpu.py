"""Measure the training step of every network on this machine's CUDA device; store it under the device's name.

    python benchmarks/gpu.py

A step is forward, backward and AdamW on batches of 128 and 2,048 images of 32x32, as in backbones.py: in float32,
under bfloat16 autocast, and with --compiled also with the network compiled. The multi-resolution STFT loss, the front
end and the differentiable ladder are measured too; the ladder also on the CPU, whose kernels use one thread. The
candidates run in turns; the results are medians.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import torch
from backbones import named_models
from hydra import compose, initialize_config_dir

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.models.losses import create_loss_function
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.spectral.config import SpectralConfig
from src.spectral.front_end import FrontEnd
from src.synth.differentiable.ladder import ladder
from src.utils.plain import to_plain

SPEC = DatasetSpec(
    "none", Inputs((1, 32, 32)), ParameterSpace(ParameterSpec(name=name, min=0, max=1) for name in "abcd")
)
BATCH_SIZES = (128, 2048)
VOICES = (64, 512)
ROUNDS, REPEATS = 7, 20


def seconds_of(steps: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median seconds of each step; the steps run in turns, with a synchronization around each turn."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(ROUNDS + 1):
        for name, step in steps.items():
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(REPEATS):
                step()
            torch.cuda.synchronize()
            if turn:  # the first fills caches and compiles
                taken[name].append((time.perf_counter() - began) / REPEATS)
    return {name: statistics.median(values) for name, values in taken.items()}


def training_step(config: dict, batch_size: int, bfloat16: bool = False, compiled: bool = False) -> Callable[[], None]:
    """Return a function that trains a model on one batch on the device."""
    torch.manual_seed(0)
    model = build_model(config, SPEC).cuda().train()
    if compiled:
        model.network.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images = torch.rand(batch_size, 1, 32, 32, device="cuda")
    target = torch.rand(batch_size, len(SPEC.space), device="cuda")

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16):
            features = model.features(images)
            losses, _ = model.heads.batch_losses(model.heads(features), {"image": images, "target": target})
            loss = model.heads.total(losses, features)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def measure_networks(names: list[str], compiled: bool) -> dict[str, dict[str, float]]:
    """Return milliseconds per step for each network and variant."""
    rows = {}
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        configs = {name: to_plain(compose("train", [f"model={name}"]).model) for name in names}
    for name, config in configs.items():
        steps = {}
        for batch_size in BATCH_SIZES:
            steps[f"float32 {batch_size}"] = training_step(config, batch_size)
            steps[f"bfloat16 {batch_size}"] = training_step(config, batch_size, bfloat16=True)
            if compiled:
                steps[f"compiled {batch_size}"] = training_step(config, batch_size, compiled=True)
        rows[name] = {variant: 1000 * seconds for variant, seconds in seconds_of(steps).items()}
        print(name, {variant: round(value, 2) for variant, value in rows[name].items()}, flush=True)
    return rows


def ladder_steps(voices: int, device: str) -> dict[str, Callable[[], object]]:
    """Return steps that filter 1 s of voices at 8 kHz with a moving cutoff, on arrays that are on the device."""
    x, envelope = torch.rand(2, 8000, voices, device=device)
    settings = [torch.linspace(low, high, voices, device=device) for low, high in ((200, 2000), (0, 0.98), (-1, 1))]
    learned = [one.requires_grad_() for one in (x, *settings, envelope)]
    g = torch.randn(8000, voices, device=device)

    def forward() -> torch.Tensor:
        x, cutoff_hz, resonance, octaves, envelope = learned
        return ladder(x, cutoff_hz, resonance, 8000, 0.5, octaves, envelope)[0]

    name = f"ladder, {voices} voices of 1 s at 8 kHz, on {device}"
    return {
        f"{name}, forward": forward,
        f"{name}, forward and backward": lambda: torch.autograd.grad(forward(), learned, g),
    }


def measure_sound() -> dict[str, float]:
    """Return milliseconds of the loss on 8 clips of 1 s at 44.1 kHz, images of 1,024 clips at 8 kHz, and the ladder."""
    loss = create_loss_function("multi_resolution_stft").cuda()
    prediction, target = torch.rand(2, 8, 44_100, device="cuda")
    prediction.requires_grad_()
    settings = {"height": 32, "width": 32, "n_fft": 80, "n_window": 80, "window_type": "rectangular"}
    front_end = FrontEnd(SpectralConfig(**settings), 8000, 8000).cuda()
    clips = torch.rand(1024, 8000, device="cuda")

    def forward_and_backward() -> None:
        prediction.grad = None
        loss(prediction, target).backward()

    steps: dict[str, Callable[[], object]] = {
        "multi-resolution STFT loss, forward and backward, 8 x 1 s at 44.1 kHz": forward_and_backward,
        "front end, 1,024 clips of 1 s at 8 kHz": lambda: front_end(clips),
    }
    for voices in VOICES:
        steps |= ladder_steps(voices, "cuda") | ladder_steps(voices, "cpu")
    return {name: 1000 * seconds for name, seconds in seconds_of(steps).items()}


def markdown(results: dict[str, dict]) -> str:
    """Return the tables of all measured devices."""
    lines = []
    for device, of_device in results.items():
        variants = list(next(iter(of_device["networks"].values())))
        lines += [f"| {device}, torch {of_device['torch']}: ms per step | {' | '.join(variants)} |"]
        lines += ["|---|" + "---|" * len(variants)]
        for name, row in of_device["networks"].items():
            lines.append(f"| {name} | " + " | ".join(f"{row[variant]:.3g}" for variant in variants) + " |")
        lines += ["", "| Sound | ms |", "|---|---|"]
        lines += [f"| {name} | {value:.3g} |" for name, value in of_device["sound"].items()]
        lines.append("")
    return "\n".join(lines).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=named_models())
    parser.add_argument("--compiled", action="store_true", help="measure compiled networks too: a minute for each")
    parser.add_argument("--keep", type=Path, default=ROOT / "benchmarks/gpu.json")
    arguments = parser.parse_args()
    results = json.loads(arguments.keep.read_text()) if arguments.keep.exists() else {}
    networks = measure_networks(arguments.models, arguments.compiled)
    of_device = {"torch": torch.__version__, "networks": networks, "sound": measure_sound()}
    results[torch.cuda.get_device_name()] = of_device
    arguments.keep.write_text(json.dumps(results, indent=1) + "\n")
    print(markdown(results))


if __name__ == "__main__":
    main()
