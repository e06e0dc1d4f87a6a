"""What every backbone's tests ask: any image, finite gradients, one seed one network, counts that are claimed."""

import re

import torch

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests import running

SIZES = [(1, 1), (1, 64), (5, 7), (32, 32), (257, 64)]
_FOUR = ParameterSpace(ParameterSpec(name=name, min=0, max=1) for name in "abcd")


def check_image(backbone, channels, size):
    """Assert that images (3, channels, *size) give finite features, which reach every parameter."""
    torch.manual_seed(0)
    network = backbone(channels, size)
    features = network(torch.rand(3, channels, *size))
    assert features.shape == (3, network.feature_dim)
    assert torch.isfinite(features).all()
    (features * torch.randn_like(features)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def check_seed(backbone):
    """Assert that torch's seed, and nothing else, decides the weights."""

    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([parameter.flatten() for parameter in backbone(1, (32, 32)).parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def check_level(backbone):
    """Assert that images which differ by their level alone differ in their features, from the start."""
    torch.manual_seed(0)
    network = backbone(1, (32, 32)).eval()
    levels = torch.tensor([1.0, 1.2])[:, None, None, None]  # 0.5 and 0.55 before the normalisation
    quiet, loud = network(levels.expand(2, 1, 32, 32)).double()
    assert (loud - quiet).norm() > 0.03 * quiet.norm()  # a norm that erases levels leaves 1e-7


def check_count(name):
    """Assert that a model has the number of parameters in its config's first line and, within 10 %, in its name."""
    claim = (running.CONFIGS / f"model/{name}.yaml").read_text().splitlines()[0]
    stated = re.match(r"# ([\d,]+) parameters on 32x32x1 with 4 regression heads, ([\d.]+) M multiply-adds", claim)
    model = build_model(running.plain("train", "model", f"model={name}"), DatasetSpec("t", Inputs((1, 32, 32)), _FOUR))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == int(stated[1].replace(",", ""))
    if named := re.search(r"_(\d+)k$", name):
        assert abs(count / (1000 * int(named[1])) - 1) <= 0.1
