"""FrameMLP: products of windows of frames, for images of the size that it was built for."""

import numpy as np
import pytest
import torch

from src.models.components.frame_mlp import FrameMLP
from src.utils.errors import UserError
from tests.models import backbones


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", backbones.SIZES)
def test_any_image_gives_features_and_finite_gradients(channels, size):
    backbones.check_image(FrameMLP, channels, size)


def test_weights_depend_on_the_seed_alone():
    backbones.check_seed(FrameMLP)


def test_a_level_reaches_the_features():
    backbones.check_level(FrameMLP)


def test_number_of_parameters_is_what_the_config_claims():
    backbones.check_count("frames_23k")


def test_forward_matches_float64():
    """11 frames of 2 channels of 3 frequencies: three windows of 2 x 2 frames, the last with one frame of silence."""
    torch.manual_seed(0)
    network = FrameMLP(2, (3, 11), spans=(2, 2), widths=(5, 4), feature_dim=6)
    image = torch.rand(7, 2, 3, 11)
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}

    def layer(x, name):
        x = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return x / (1 + np.exp(-x))

    centred = np.full((7, 2, 3, 12), -1.0)
    centred[..., :11] = image.double().numpy()
    merged = []
    for start in range(0, 12, 4):
        halves = []
        for first in (start, start + 2):
            frames = [centred[..., at].reshape(7, 6) for at in (first, first + 1)]
            halves.append(layer(np.concatenate(frames, axis=1), "layers.0"))
        merged.append(layer(np.concatenate(halves, axis=1), "layers.1"))
    expected = layer(np.concatenate(merged, axis=1), "project")
    np.testing.assert_allclose(network(image).detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 16, 8), (1, 8, 17), (3, 8, 16)])  # the first has as many pixels
def test_another_size_is_refused_with_both_sizes(shape):
    with pytest.raises(UserError, match=rf"^FrameMLP: built for .* 1x8x16, but {'x'.join(map(str, shape))} given; .*$"):
        FrameMLP(1, (8, 16))(torch.rand(2, *shape))


@pytest.mark.parametrize("given", [{"spans": ()}, {"spans": (4,)}, {"widths": (0, 4)}, {"feature_dim": 0}])
def test_layers_that_do_not_fit_are_refused(given):
    with pytest.raises(UserError, match=r"^model.network: spans .*; give as many spans as widths"):
        FrameMLP(1, (8, 8), **given)
