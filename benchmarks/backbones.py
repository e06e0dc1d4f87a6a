"""Measure size, multiply-adds and training step of every model config on 32x32 and 64x64 images, in turns.

python benchmarks/backbones.py
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from turns import in_turns

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.evaluation.architecture import describe_layers
from src.models.build import build_model
from src.models.vimh_lit_module import VIMHLitModule
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.plain import to_plain

SIDES = (32, 64)
BATCH_SIZE = 32
_HEADS = ParameterSpace(ParameterSpec(name=name, min=0, max=1) for name in "abcd")


def named_models() -> list[str]:
    """Return every model config that names a network."""
    return sorted(path.stem for path in (ROOT / "configs/model").glob("*.yaml") if path.stem != "base")


def measure_backbones(rounds: int = 9) -> list[dict]:
    """Return one row per model and image size: parameters, multiply-adds, median ms of a step of 32 images.

    Each model has four regression heads; a step is forward, backward and AdamW, with torch's number of threads.
    """
    rows, steps = [], []
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        configs = {name: to_plain(compose("train", [f"model={name}"]).model) for name in named_models()}
    for name, config in configs.items():
        for side in SIDES:
            torch.manual_seed(0)
            model = build_model(config, DatasetSpec("none", Inputs((1, side, side)), _HEADS))
            layers = describe_layers(model, torch.zeros(1, 1, side, side))
            count = sum(parameter.numel() for parameter in model.parameters())
            products = sum(layer.multiply_adds for layer in layers)
            rows.append({"model": name, "side": side, "parameters": count, "multiply_adds": products})
            steps.append(_step_of(model, side))
    seconds = in_turns(dict(enumerate(steps)), rounds)
    return [row | {"step_ms": 1000 * seconds[at]} for at, row in enumerate(rows)]


def _step_of(model: VIMHLitModule, side: int) -> Callable[[], None]:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images, target = torch.rand(BATCH_SIZE, 1, side, side), torch.rand(BATCH_SIZE, len(_HEADS))

    def step() -> None:
        features = model.features(images)
        losses, _ = model.heads.batch_losses(model.heads(features), {"image": images, "target": target})
        optimizer.zero_grad(set_to_none=True)
        model.heads.total(losses, features).backward()
        optimizer.step()

    return step


def markdown(rows: list[dict]) -> str:
    """Return the table: one row per model, with both image sizes side by side."""
    lines = [
        "| model | parameters | M multiply-adds, 32x32 | step, ms | M multiply-adds, 64x64 | step, ms |",
        "|---|---|---|---|---|---|",
    ]
    for small, large in zip(rows[::2], rows[1::2], strict=True):
        cells = [f"{row['multiply_adds'] / 1e6:.2f} | {row['step_ms']:.3g}" for row in (small, large)]
        lines.append(f"| {small['model']} | {small['parameters']:,} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(measure_backbones()))
