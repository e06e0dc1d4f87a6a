"""AudioSpectrogramTransformer: overlapping patches, and positions that are a row's plus a column's."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from src.models.components.ast import AudioSpectrogramTransformer
from tests.models import backbones


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", backbones.SIZES)
def test_any_image_gives_features_and_finite_gradients(channels, size):
    backbones.check_image(AudioSpectrogramTransformer, channels, size)


@pytest.mark.parametrize(("patch_size", "stride"), [(4, 2), ((8, 4), (6, 2)), (16, 10)])
def test_any_patch_and_stride(patch_size, stride):
    network = partial(AudioSpectrogramTransformer, patch_size=patch_size, stride=stride)
    backbones.check_image(network, 2, (13, 30))


def test_weights_depend_on_the_seed_alone():
    backbones.check_seed(AudioSpectrogramTransformer)


def test_a_level_passes_the_norms():
    backbones.check_level(AudioSpectrogramTransformer)


def test_number_of_parameters_is_what_the_config_claims():
    backbones.check_count("ast_micro")


def test_every_pixel_is_in_a_patch():
    """Where strides do not end at the image's last row and column, one more patch reaches beyond them."""
    network = AudioSpectrogramTransformer(1, (19, 23), (6, 5), (4, 4), ())
    image = torch.rand(1, 1, 19, 23, requires_grad=True)
    network(image)[0, 0].backward()
    assert (image.grad != 0).all()
    assert network.frequency_positions.shape[2:] == (5, 1)  # begin at rows 0, 4, .. 16; 14 is the last that fits
    assert network.time_positions.shape[2:] == (1, 6)


def test_tokens_are_overlapping_patches_plus_two_positions():
    torch.manual_seed(0)
    network = AudioSpectrogramTransformer(2, (11, 12), (4, 6), (3, 3), (), dim=8, depth=0, heads=2, pooling="mean")
    image = torch.randn(3, 2, 11, 12)
    padded = functional.pad(image, (0, 0, 0, 2), value=-1.0)  # 13 = 4 + 3 * 3 rows, 12 = 6 + 2 * 3 columns
    embedding = network.embedding.patches
    tokens = functional.unfold(padded, (4, 6), stride=(3, 3)).transpose(1, 2) @ embedding.weight.flatten(1).T
    frequency, time = network.frequency_positions[0, :, :, 0].T, network.time_positions[0, :, 0].T
    assert (len(frequency), len(time)) == (4, 3)
    for index in range(12):
        tokens[:, index] += embedding.bias + frequency[index // 3] + time[index % 3]
    expected = functional.layer_norm(tokens, (8,)).mean(dim=1)
    torch.testing.assert_close(network(image), expected, rtol=1e-4, atol=1e-5)


def test_an_image_of_another_size_also_goes_in():
    network = AudioSpectrogramTransformer(1, (32, 32))
    assert network(torch.rand(2, 1, 19, 80)).shape == (2, network.feature_dim)


def test_stochastic_depth_acts_in_training_only():
    network = AudioSpectrogramTransformer(1, (32, 32), drop_path=0.5)
    image = torch.rand(8, 1, 32, 32)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))
