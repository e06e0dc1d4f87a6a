"""Measure what optimizer wrappers and bfloat16 cost or gain in a training step, in turns.

python benchmarks/optimizers.py
"""

from collections.abc import Callable
from pathlib import Path

import torch
from backbones import named_models
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from turns import in_turns

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.models.optimizers.groups import parameter_groups
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.plain import to_plain

ROOT = Path(__file__).resolve().parents[1]
_SPEC = DatasetSpec(
    "none", Inputs((1, 32, 32)), ParameterSpace(ParameterSpec(name=name, min=0, max=1) for name in "abcd")
)
_WRAPPERS = ("gradient_centralization", "lookahead", "sam", "asam")
_LARGEST = {  # of each family, the config with the most arithmetic
    "cnn": "cnn_64k",
    "convnext": "convnext_288k",
    "vit": "vit_210k",
    "ast": "ast_micro",
    "hybrid": "hybrid_tiny",
    "efficientnet": "efficientnet_66k",
    "densenet": "densenet_68k",
    "mlp": "mlp_68k",
    "frames": "frames_23k",
    "timm": "timm",
}


def measure_wrappers() -> dict[str, float]:
    """Return the median step with each wrapper divided by that with plain AdamW: micro CNN, batches of 128."""
    steps = {"plain": _step("cnn_micro", 128)}
    steps |= {name: _step("cnn_micro", 128, f"wrapper={name}") for name in _WRAPPERS}
    seconds = in_turns(steps, rounds=9, repeats=20)
    return {name: seconds[name] / seconds["plain"] for name in _WRAPPERS}


def measure_bfloat16() -> dict[str, float]:
    """Return, for each family of networks, the median step in bfloat16 divided by that in float32, batches of 128."""
    assert {name.split("_")[0] for name in named_models()} == set(_LARGEST)
    steps = {}
    for family, model in _LARGEST.items():
        steps[f"{family} 32"] = _step(model, 128)
        steps[f"{family} bf16"] = _step(model, 128, bfloat16=True)
    seconds = in_turns(steps, rounds=5, repeats=3)
    return {family: seconds[f"{family} bf16"] / seconds[f"{family} 32"] for family in _LARGEST}


def _step(model: str, batch_size: int, *overrides: str, bfloat16: bool = False) -> Callable[[], None]:
    """Return a function that trains on one batch: forward, backward and the optimizer with its wrappers."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config: DictConfig = compose("train", [f"model={model}", *overrides]).model
    torch.manual_seed(0)
    module = build_model(to_plain(config), _SPEC).train()
    optimizer = instantiate(config.optimizer)(parameter_groups(module, config.optimizer.lr))
    for wrap in instantiate(config.get("wrappers") or {}).values():
        wrap(optimizer, module)
    images, target = torch.rand(batch_size, 1, 32, 32), torch.rand(batch_size, len(_SPEC.space))

    def closure() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            features = module.features(images)
            losses, _ = module.heads.batch_losses(module.heads(features), {"image": images, "target": target})
            loss = module.heads.total(losses, features)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return loss

    return lambda: optimizer.step(closure)


if __name__ == "__main__":
    for title, ratios in (("wrapper / plain AdamW", measure_wrappers()), ("bf16 / fp32", measure_bfloat16())):
        print(title, {name: round(ratio, 2) for name, ratio in ratios.items()})
