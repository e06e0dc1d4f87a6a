"""SimpleMLP: products and GELU, for images of the size that it was built for."""

import numpy as np
import pytest
import torch

from src.models.components.simple_mlp import SimpleMLP
from src.utils.errors import UserError
from tests.models import references


@pytest.mark.parametrize("height_width", references.SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_gives_features_and_finite_gradients(channels, height_width):
    network = SimpleMLP(channels, height_width, hidden_sizes=(10, 6))
    references.check_features_and_gradients(network, torch.rand(4, channels, *height_width))


def test_forward_matches_float64():
    network = SimpleMLP(2, (3, 5), hidden_sizes=(7, 4, 6))
    weights = references.perturbed(network)
    image = torch.randn(8, 2, 3, 5)
    x = image.double().numpy().reshape(8, -1)
    for layer in (1, 3, 5):
        x = references.gelu(x @ weights[f"layers.{layer}.weight"].T + weights[f"layers.{layer}.bias"])
    np.testing.assert_allclose(network(image).detach(), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 16, 8), (1, 8, 17), (3, 8, 16)])  # the first has as many pixels
def test_another_size_is_refused_with_both_sizes(shape):
    with pytest.raises(
        UserError, match=rf"^SimpleMLP: built for .* 1x8x16, but {'x'.join(map(str, shape))} given; .*$"
    ):
        SimpleMLP(1, (8, 16))(torch.rand(2, *shape))


def test_dropout_acts_in_training_only():
    network = SimpleMLP(1, (8, 8), dropout=0.5)
    image = torch.rand(8, 1, 8, 8)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


def test_no_layer_is_refused():
    with pytest.raises(UserError, match="hidden_sizes"):
        SimpleMLP(1, (8, 8), hidden_sizes=())


def test_weights_depend_on_the_seed_alone():
    references.check_seed(lambda: SimpleMLP(1, (8, 8)))


def test_number_of_parameters_is_what_the_config_claims():
    references.check_claimed_count("mlp_68k", 68_000)
