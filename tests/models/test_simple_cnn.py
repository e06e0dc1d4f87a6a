"""SimpleCNN: any image goes in, its size is what its config says, and its output what the formulas say."""

import re

import numpy as np
import pytest
import scipy.signal
import torch
from scipy.special import erf

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.models.components.simple_cnn import SimpleCNN
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests import running

FOUR = ParameterSpace(ParameterSpec(name=name, min=0, max=1) for name in "abcd")


@pytest.mark.parametrize("height_width", [(1, 1), (1, 64), (2, 3), (5, 7), (31, 33), (32, 32), (48, 48), (257, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_gives_features_and_finite_gradients(channels, height_width):
    torch.manual_seed(0)
    network = SimpleCNN(channels, height_width)
    image = torch.rand(4, channels, *height_width)
    features = network(image)
    assert features.shape == (4, network.feature_dim)
    features.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name


def test_an_image_of_another_size_also_goes_in():
    assert SimpleCNN(1, (16, 16))(torch.rand(2, 1, 19, 40)).shape == (2, 24)


@pytest.mark.parametrize("name", ["cnn_micro", "cnn_tiny", "cnn_64k"])
def test_number_of_parameters_is_what_the_config_claims(name):
    claim = (running.CONFIGS / f"model/{name}.yaml").read_text().splitlines()[0]
    stated = re.match(r"# ([\d,]+) parameters on 32x32x1 with 4 regression heads", claim)[1]
    model = build_model(running.plain("train", "model", f"model={name}"), DatasetSpec("t", Inputs((1, 32, 32)), FOUR))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == int(stated.replace(",", ""))
    if name == "cnn_micro":
        assert count <= 10_500
    if name == "cnn_64k":
        assert count == pytest.approx(64_000, rel=0.1)


def test_weights_depend_on_the_seed_alone():
    def built(seed):
        torch.manual_seed(seed)
        return SimpleCNN(1, (32, 32)).state_dict()

    one, same, other = built(3), built(3), built(4)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stages.0.weight"], other["stages.0.weight"])


def test_forward_matches_scipy_correlation_in_float64():
    """One sample at a time: correlate, GELU by erf, mean over cells, one more product."""
    torch.manual_seed(0)
    network = SimpleCNN(2, (12, 20), channels=(3, 5), strides=(2, 1), grid_size=(3, 4), feature_dim=6)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # biases begin at 0, which would hide them
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}
    image = torch.randn(2, 2, 12, 20)
    for sample, features in zip(image.double().numpy(), network(image).detach(), strict=True):
        for stage, stride in enumerate((2, 1)):
            kernels, bias = (weights[f"stages.{2 * stage}.{key}"] for key in ("weight", "bias"))
            maps = [sum(map(correlate, sample, kernel)) for kernel in kernels]
            sample = gelu(np.stack(maps)[:, ::stride, ::stride] + bias[:, None, None])
        corners = [(row, column) for row in (0, 2, 4) for column in (0, 3, 6, 9)]  # 6 x 10 as 3 x 4, the last narrow
        cells = [sample[:, row : row + 2, column : column + 3].mean(axis=(1, 2)) for row, column in corners]
        flat = np.stack(cells, axis=1).ravel()
        expected = gelu(weights["project.2.weight"] @ flat + weights["project.2.bias"])
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def correlate(image, kernel):
    return scipy.signal.correlate2d(image, kernel, "same")


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def test_each_sample_is_seen_by_itself_when_testing():
    network = SimpleCNN(1, (32, 32)).eval()
    image = torch.rand(5, 1, 32, 32)
    alone = torch.cat([network(one[None]) for one in image])
    torch.testing.assert_close(network(image), alone, rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only():
    network = SimpleCNN(1, (32, 32), dropout=0.5)
    image = torch.rand(8, 1, 32, 32)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize("given", [{"channels": (8, 16)}, {"strides": (2,)}, {"channels": (), "strides": ()}])
def test_channels_and_strides_must_match(given):
    with pytest.raises(UserError, match=r"^model.network: \d channels and \d strides; .*$"):
        SimpleCNN(1, (32, 32), **given)
