"""ConvNeXtV2 against the published network, and against timm's where it is installed."""

import re
from functools import partial

import numpy as np
import pytest
import torch

from src.models.components.convnext_v2 import ConvNeXtV2, GlobalResponseNorm
from src.utils.errors import UserError
from tests.models import backbones


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", backbones.SIZES)
def test_any_image_gives_features_and_finite_gradients(channels, size):
    backbones.check_image(ConvNeXtV2, channels, size)


@pytest.mark.parametrize("stem_stride", [2, (4, 1), (32, 2)])
@pytest.mark.parametrize("grid_size", [(1, 1), (2, 4)])
def test_any_stem_and_grid(stem_stride, grid_size):
    backbones.check_image(partial(ConvNeXtV2, stem_stride=stem_stride, grid_size=grid_size), 2, (13, 30))


def test_weights_depend_on_the_seed_alone():
    backbones.check_seed(ConvNeXtV2)


def test_a_level_passes_the_norms():
    backbones.check_level(ConvNeXtV2)


@pytest.mark.parametrize("name", ["convnext_18k", "convnext_68k", "convnext_288k"])
def test_number_of_parameters_is_what_the_config_claims(name):
    backbones.check_count(name)


def test_published_size_of_tiny():
    """28.6 M with its 1000-class head (arXiv 2301.00808, table 9)."""
    with torch.device("meta"):
        network = ConvNeXtV2(3, (224, 224), depths=(3, 3, 9, 3), dims=(96, 192, 384, 768), stem_stride=4)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 27_866_496  # as timm's convnextv2_tiny without a head
    assert count + 1000 * (768 + 1) == pytest.approx(28.6e6, abs=0.05e6)


def test_forward_matches_timm():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    sizes = {"depths": (1, 2, 1, 1), "dims": (8, 12, 16, 20)}  # timm has always four stages
    theirs = timm.models.ConvNeXt(3, 0, use_grn=True, ls_init_value=None, **sizes).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))  # GRN begins as the identity, norms at one
    ours = ConvNeXtV2(3, (64, 96), **sizes)
    ours.load_state_dict(from_timm(theirs.state_dict(), sizes["depths"]))
    image = torch.randn(2, 3, 64, 96)
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-4, atol=1e-4)


def from_timm(state, depths):
    """Rename timm's weights to ours: norms and convolutions between stages, then blocks, are one sequence."""
    first = {stage: 2 * (stage + 1) + sum(depths[:stage]) for stage in range(len(depths))}  # block of each stage
    rules = [
        (r"stem\.(\d)\.", lambda m: f"layers.{m[1]}." + ("convolution." if m[1] == "0" else "")),
        (r"stages\.(\d)\.downsample\.0\.", lambda m: f"layers.{first[int(m[1])] - 2}."),
        (r"stages\.(\d)\.downsample\.1\.", lambda m: f"layers.{first[int(m[1])] - 1}.convolution."),
        (r"stages\.(\d)\.blocks\.(\d)\.", lambda m: f"layers.{first[int(m[1])] + int(m[2])}."),
        (r"conv_dw\.", lambda m: "depthwise."),
        (r"mlp\.fc1\.", lambda m: "expand."),
        (r"mlp\.fc2\.", lambda m: "contract."),
        (r"mlp\.grn\.weight", lambda m: "response_norm.gamma"),
        (r"mlp\.grn\.bias", lambda m: "response_norm.beta"),
        (r"head\.norm\.", lambda m: "norm."),
    ]
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def test_global_response_norm_matches_its_formula_in_float64():
    random = np.random.default_rng(0)
    maps, gamma, beta = random.normal(size=(2, 3, 4, 5)), random.normal(size=5), random.normal(size=5)
    norm = GlobalResponseNorm(5).double()
    norm.load_state_dict({"gamma": torch.from_numpy(gamma), "beta": torch.from_numpy(beta)})
    energy = np.sqrt((maps**2).sum(axis=(1, 2), keepdims=True))
    expected = gamma * (maps * energy / (energy.mean(axis=3, keepdims=True) + 1e-6)) + beta + maps
    np.testing.assert_allclose(norm(torch.from_numpy(maps)).detach(), expected, rtol=1e-12)


def test_stochastic_depth_acts_in_training_only():
    network = ConvNeXtV2(1, (32, 32), drop_path=0.5)
    image = torch.rand(16, 1, 32, 32)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"depths": (1,)}, r"model.network: 1 depths and \d dims; give one of each per stage"),
        ({"depths": (), "dims": ()}, r"model.network: 0 depths and 0 dims; .*"),
        ({"kernel_size": 4}, r"model.network.kernel_size: 4 given; give an odd size"),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        ConvNeXtV2(1, (32, 32), **given)
