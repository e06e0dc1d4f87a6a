"""Measure the differentiable ladder, and a step of training through a rendered sound: python benchmarks/ladder.py

Everything runs in turns in one process and on one thread; figures are ratios of medians of CPU time. 64 voices of
8,000 samples are filtered, with coefficients that move and are given. The comparison with torchlpc needs its package,
`torchlpc-wheels`, best in an environment of its own. torchlpc, of order 4, filters linearly; the ladder also saturates.
The recursion in plain torch runs on fewer samples, and counts for as many.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from generation import recipe_of
from hydra import compose, initialize_config_dir
from readme import update_block
from torch import Tensor
from turns import in_turns

from src.data.inputs import Inputs
from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.synth.differentiable import ladder_kernels as kernels
from src.synth.differentiable.ladder import Ladder
from src.synth.ladder import filter_block
from src.utils.plain import to_plain
from src.utils.table import Column, markdown

SAMPLES, DRIVE = 8000, 0.5
PLAIN_SAMPLES = 200  # plain torch takes a second for each thousand
BATCH = 128


def plain_ladder(x: Tensor, gain: Tensor, feedback: Tensor) -> Tensor:
    """Filter (T, V) with gains (T, V): the ladder's recursion in torch operations."""
    s1 = s2 = s3 = s4 = torch.zeros_like(x[0])
    outputs = []
    for sample, a in zip(x, gain, strict=True):
        held = (1 - a) * (s4 + a * (s3 + a * (s2 + a * s1)))
        u = ((sample - feedback * held) / (1 + feedback * a**4)).clamp(-3 / DRIVE, 3 / DRIVE)
        z = (DRIVE * u) ** 2
        y = u * (27 + z) / (27 + 9 * z)
        states = []
        for s in (s1, s2, s3, s4):
            d = a * (y - s)
            y = s + d
            states.append(y + d)
        s1, s2, s3, s4 = states
        outputs.append(y)
    return torch.stack(outputs)


def lpc_step(voices: int, backward: bool) -> Callable[[], object]:
    """Return a step of torchlpc: order 4, coefficients at each sample, (B, T) and (B, T, 4)."""
    from torchlpc import sample_wise_lpc

    pole = np.linspace(0.5, 0.9, voices)
    coefficients = np.stack([np.poly([one] * 4)[1:] for one in pole]).astype(np.float32)
    a = torch.from_numpy(coefficients)[:, None].repeat(1, SAMPLES, 1).requires_grad_(backward)
    x = (2 * torch.rand(voices, SAMPLES) - 1).requires_grad_(backward)
    g = torch.randn(voices, SAMPLES)
    return lambda: torch.autograd.grad(sample_wise_lpc(x, a), (x, a), g) if backward else sample_wise_lpc(x, a)


def measure_ladder(voices: int, rounds: int) -> dict[str, float]:
    """Return the CPU seconds of each way to filter SAMPLES of so many voices; their coefficients move and are given."""
    torch.manual_seed(0)
    x, g = 2 * torch.rand(SAMPLES, voices) - 1, torch.randn(SAMPLES, voices)
    gain, feedback = 0.05 + 0.3 * torch.rand(SAMPLES, voices), torch.linspace(0, 3.8, voices)
    rest = torch.zeros(4, voices)
    learned = [one.clone().requires_grad_() for one in (x, gain, feedback)]
    short = [one[:PLAIN_SAMPLES].clone().requires_grad_() for one in (x, gain)] + learned[2:]

    def plain_backward() -> object:
        return torch.autograd.grad(plain_ladder(*short), short, g[:PLAIN_SAMPLES])

    steps: dict[str, Callable[[], object]] = {
        "ours": lambda: Ladder.apply(x, gain, feedback, rest, DRIVE),
        "ours, and backward": lambda: torch.autograd.grad(Ladder.apply(*learned, rest, DRIVE)[0], learned, g),
        "plain torch, and backward": plain_backward,
    }
    if importlib.util.find_spec("torchlpc"):
        steps["torchlpc"] = lpc_step(voices, backward=False)
        steps["torchlpc, and backward"] = lpc_step(voices, backward=True)
    seconds = in_turns(steps, rounds, 5, time.process_time)  # several times each, as cold caches take as long as a step
    seconds["plain torch, and backward"] *= SAMPLES / PLAIN_SAMPLES
    return seconds


def measure_kernels(voices: int, rounds: int) -> dict[str, float]:
    """Return the CPU seconds of the compiled forward and backward passes alone."""
    generator = np.random.default_rng(0)
    x, g = generator.uniform(-1, 1, (2, SAMPLES, voices)).astype(np.float32)
    gain = generator.uniform(0.05, 0.4, (SAMPLES, voices)).astype(np.float32)
    settings = gain, 1, np.linspace(0, 3.8, voices, dtype=np.float32), np.float32(DRIVE), np.float32(3 / DRIVE)
    checkpoints = np.empty((-(-SAMPLES // kernels.CHUNK), 4, voices), np.float32)
    rest = np.zeros((4, voices), np.float32)
    kernels.filter_in_chunks(x, *settings, rest.copy(), np.empty_like(x), checkpoints)
    sums = np.zeros_like(gain), np.zeros(voices, np.float32)
    steps = {
        "copy": lambda: x.copy(),
        "forward": lambda: filter_block(x.copy(), *settings, rest.copy()),
        "backward": lambda: kernels.ladder_adjoint(x, *settings, checkpoints, g.copy(), rest.copy(), *sums),
    }
    seconds = in_turns(steps, rounds, 5, time.process_time)
    return {name: seconds[name] - seconds["copy"] for name in ("forward", "backward")}


def measure_step(rounds: int) -> dict[str, float]:
    """Return the CPU seconds of a training step of the micro CNN, and of one through the sounds of a batch."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = to_plain(compose("train", ["model=cnn_micro", "paths.output_dir=."]).model)
    source = load_source(parse_recipe(recipe_of("moog_basic", 2 * BATCH)))
    space, synth = source.synth.space, source.recipe.synth
    voice, settings = source.synth.voice, {**source.synth.voice.settings, **synth.settings}
    values = space.sample(0, 0, BATCH)
    target = torch.from_numpy(source.float_images(space.sample(0, BATCH, BATCH))[0])
    learned = torch.from_numpy(values).requires_grad_()
    fixed = {name: torch.full((BATCH,), value, dtype=torch.float64) for name, value in space.fixed.items()}

    def through_sound() -> None:
        assert voice.differentiable is not None
        parameters = fixed | dict(zip(space.names, learned.unbind(dim=1), strict=True))
        audio = voice.differentiable(parameters, synth.sample_rate, synth.num_samples, **settings)
        images, _ = source.front_end(audio)
        torch.autograd.grad((images - target).abs().mean(), learned)

    model = build_model(config, DatasetSpec("none", Inputs(source.front_end.image_shape), space)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    labels = torch.from_numpy(space.normalize(values)).float()

    def network() -> None:
        features = model.features(target)
        losses, _ = model.heads.batch_losses(model.heads(features), {"image": target, "target": labels})
        optimizer.zero_grad(set_to_none=True)
        model.heads.total(losses, features).backward()
        optimizer.step()

    return in_turns({"network": network, "sound": through_sound}, rounds, clock=time.process_time)


def measure_differentiable(rounds: int = 9) -> list[tuple[str, float, str]]:
    """Return quantity, ratio and target of each comparison, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    kernel, seconds, step = measure_kernels(64, rounds), measure_ladder(64, rounds), measure_step(rounds)
    torch.set_num_threads(threads)
    both = seconds["ours, and backward"]
    rows = [("ladder: backward kernel / forward kernel", kernel["backward"] / kernel["forward"], "<= 5")]
    if "torchlpc" in seconds:
        rows.append(("torchlpc / ladder, forward", seconds["torchlpc"] / seconds["ours"], ">= 5"))
        rows.append(("torchlpc / ladder, forward kernel alone", seconds["torchlpc"] / kernel["forward"], ""))
        rows.append(("torchlpc / ladder, forward and backward", seconds["torchlpc, and backward"] / both, ">= 7"))
    plain = seconds["plain torch, and backward"] / both
    rows.append(("plain torch / ladder, forward and backward", plain, ">= 500"))
    rows.append((f"step through {BATCH} sounds / step of cnn_micro", step["sound"] / step["network"], "<= 2.5"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--readme", action="store_true", help="write the table between its markers in docs")
    given = parser.parse_args()
    if importlib.util.find_spec("torchlpc") is None:
        print("torchlpc is not installed, so it is left out: uv pip install torchlpc-wheels")
    rows = []
    for name, ratio, target in measure_differentiable(given.rounds):
        rows.append([name, f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}", target])
    table = markdown([Column("CPU time", text=True), Column("ratio"), Column("target", text=True)], rows)
    print(table)
    if given.readme:
        update_block("ladder", table)


if __name__ == "__main__":
    main()
