"""SimpleDenseNet: what it computes is the paper's network without batch norm."""

import numpy as np
import pytest
import torch

from src.models.components.simple_dense_net import SimpleDenseNet
from src.utils.errors import UserError
from tests.models import references
from tests.models.references import convolve, gelu


@pytest.mark.parametrize("height_width", references.SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_gives_features_and_finite_gradients(channels, height_width):
    network = SimpleDenseNet(channels, height_width)
    references.check_features_and_gradients(network, torch.rand(4, channels, *height_width))


def test_an_image_of_another_size_also_goes_in():
    assert SimpleDenseNet(1, (16, 16))(torch.rand(2, 1, 19, 40)).shape == (2, 34)


def test_forward_matches_the_papers_order_of_operations_in_float64():
    """The paper activates where maps are read, and a transition pools after its convolution."""
    network = SimpleDenseNet(
        2, (12, 20), stem_channels=5, growth_rate=3, block_layers=(2, 3, 1), grid_size=(2, 3), feature_dim=6
    )
    weights = references.perturbed(network)
    image = torch.randn(2, 2, 12, 20)

    def layer(name, maps, stride=1):
        return convolve(maps, weights[f"{name}.weight"], weights[f"{name}.bias"], stride)

    for sample, features in zip(image.double().numpy(), network(image).detach(), strict=True):
        maps = layer("stages.0", sample, stride=2)  # 6 x 10, not yet activated
        for block, num_layers in ((2, 2), (4, 3), (6, 1)):
            for at in range(num_layers):
                maps = np.concatenate([maps, layer(f"stages.{block}.layers.{at}.0", gelu(maps))])
            if block < 6:
                mixed = layer(f"stages.{block + 1}.1", gelu(maps))
                maps = halved(mixed)
        assert maps.shape[1:] == (2, 3)
        expected = gelu(weights["project.2.weight"] @ gelu(maps).ravel() + weights["project.2.bias"])
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def halved(maps):
    """Mean over 2 x 2, and over what there is of it at the end of an odd side."""
    _, height, width = maps.shape
    rows = [maps[:, at : at + 2].mean(axis=1) for at in range(0, height, 2)]
    columns = np.stack(rows, axis=1)
    return np.stack([columns[:, :, at : at + 2].mean(axis=2) for at in range(0, width, 2)], axis=2)


@pytest.mark.parametrize(
    ("given", "key"), [({"block_layers": ()}, "block_layers"), ({"compression": 0}, "compression")]
)
def test_what_cannot_be_built_is_refused(given, key):
    with pytest.raises(UserError, match=rf"^model.network.{key}: .* given; .*$"):
        SimpleDenseNet(1, (32, 32), **given)


def test_weights_depend_on_the_seed_alone():
    references.check_seed(lambda: SimpleDenseNet(1, (32, 32)))


def test_number_of_parameters_is_what_the_config_claims():
    references.check_claimed_count("densenet_68k", 68_000)
