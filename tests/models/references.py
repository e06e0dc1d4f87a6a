"""Layers in float64, one sample (C, H, W) at a time, by scipy."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal
import torch
from scipy.special import erf, expit
from torch import nn

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests import running

SIZES = [(1, 1), (1, 64), (2, 3), (5, 7), (31, 33), (32, 32), (257, 64)]
FOUR = ParameterSpace(ParameterSpec(name=name, min=0, max=1) for name in "abcd")


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def silu(x):
    return x * expit(x)


def convolve(maps, kernels, bias, stride=1):
    """Correlate (C, H, W) with (D, C, h, w), zeros around, every `stride`-th place kept."""
    out = [sum(scipy.signal.correlate2d(*pair, "same") for pair in zip(maps, one, strict=True)) for one in kernels]
    return np.stack(out)[:, ::stride, ::stride] + bias[:, None, None]


def perturbed(network: nn.Module) -> dict[str, np.ndarray]:
    """Move every weight a little, since those that begin at zero would hide faults; return them in float64."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


def check_features_and_gradients(network: nn.Module, image: torch.Tensor) -> None:
    """Check the shape of features and that every weight gets a finite gradient."""
    features = network(image)
    assert features.shape == (len(image), network.feature_dim)
    features.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name


def check_seed(make: Callable[[], nn.Module]) -> None:
    """Check that weights are a function of torch's seed."""

    def built(seed):
        torch.manual_seed(seed)
        return torch.cat([value.flatten().float() for value in make().state_dict().values()])

    assert torch.equal(built(3), built(3))
    assert not torch.equal(built(3), built(4))


def count_parameters(config: str) -> int:
    """Return the parameters of a model config's whole model on 32x32x1 with four regression heads."""
    model = build_model(running.plain("train", "model", f"model={config}"), DatasetSpec("t", Inputs((1, 32, 32)), FOUR))
    return sum(parameter.numel() for parameter in model.parameters())


def check_claimed_count(config: str, about: int | None = None) -> None:
    """Check a config's first line, and that its name's figure is within a tenth."""
    first = (running.CONFIGS / f"model/{config}.yaml").read_text().splitlines()[0]
    count = count_parameters(config)
    assert first.startswith(f"# {count:,} parameters on 32x32x1 with 4 regression heads, ")
    if about:
        assert count == pytest.approx(about, rel=0.1)
