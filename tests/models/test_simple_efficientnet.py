"""SimpleEfficientNet: MBConv blocks, which begin as the identity where they have a skip."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from src.models.components.simple_efficientnet import MBConv, SimpleEfficientNet
from src.utils.errors import UserError
from tests.models import references
from tests.models.references import convolve, gelu, silu


@pytest.mark.parametrize("height_width", references.SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_gives_features_and_finite_gradients(channels, height_width):
    network = SimpleEfficientNet(channels, height_width, drop_path=0.2)
    references.check_features_and_gradients(network, torch.rand(4, channels, *height_width))


def test_an_image_of_another_size_also_goes_in():
    assert SimpleEfficientNet(1, (16, 16))(torch.rand(2, 1, 19, 40)).shape == (2, 84)


def test_forward_matches_float64():
    stages = ((5, 1, 1, 1), (4, 2, 2, 3))
    network = SimpleEfficientNet(2, (12, 20), 5, stages, grid_size=(3, 5), feature_dim=6)
    weights = references.perturbed(network)
    image = torch.randn(2, 2, 12, 20)
    for sample, features in zip(image.double().numpy(), network(image).detach(), strict=True):
        stem = convolve(sample, weights["stages.0.weight"], weights["stages.0.bias"], 2)
        maps = silu(stem)
        maps = maps + inverted_residual(maps, weights, "stages.2", 1)
        maps = inverted_residual(maps, weights, "stages.3", 2)
        maps = maps + inverted_residual(maps, weights, "stages.4", 1)
        assert maps.shape == (4, 3, 5)
        expected = gelu(weights["project.2.weight"] @ silu(maps).ravel() + weights["project.2.bias"])
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def inverted_residual(maps, weights, name, stride):
    def of(part):
        return weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"]

    if f"{name}.expand.0.weight" in weights:
        maps = silu(convolve(maps, *of("expand.0")))
    kernels, bias = of("branch.0")
    maps = [convolve(one[None], kernels[[at]], bias[[at]], stride)[0] for at, one in enumerate(maps)]
    maps = silu(np.stack(maps))
    (squeeze, shift), (excite, offset) = of("branch.2.gate.0"), of("branch.2.gate.2")
    gate = 2 * expit(excite @ silu(squeeze @ maps.mean(axis=(1, 2)) + shift) + offset)
    return convolve(maps * gate[:, None, None], *of("branch.3"))


def test_blocks_with_a_skip_begin_as_the_identity_and_pass_no_more_when_dropped():
    network = SimpleEfficientNet(1, (32, 32), drop_path=0.5)
    blocks = [block for block in network.stages if isinstance(block, MBConv)]
    maps = {16: torch.rand(2, 16, 16, 16), 24: torch.rand(2, 24, 8, 8), 32: torch.rand(2, 32, 4, 4)}
    skipping = [block for block in blocks if block.has_skip]
    assert len(skipping) == 2 and len(blocks) == 4
    for block in skipping:
        x = maps[block.branch[-1].out_channels]
        assert torch.equal(block(x), x)
    assert [block.drop_path.rate for block in blocks] == pytest.approx([0, 1 / 6, 1 / 3, 1 / 2])


def test_stochastic_depth_acts_in_training_only():
    network = SimpleEfficientNet(1, (32, 32), drop_path=0.5)
    references.perturbed(network)
    image = torch.rand(64, 1, 32, 32)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


def test_a_stage_of_three_numbers_is_refused():
    with pytest.raises(UserError, match=r"^model.network.stages: \[16, 1, 2\] given; .*$"):
        SimpleEfficientNet(1, (32, 32), stages=[[16, 1, 2]])


def test_weights_depend_on_the_seed_alone():
    references.check_seed(lambda: SimpleEfficientNet(1, (32, 32)))


def test_number_of_parameters_is_what_the_config_claims():
    references.check_claimed_count("efficientnet_66k", 66_000)
