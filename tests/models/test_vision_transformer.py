"""VisionTransformer against torch's own encoder layers, on images and patches of any shape."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from src.models.components.vision_transformer import TransformerBlock, VisionTransformer
from src.utils.errors import UserError
from tests.models import backbones


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", backbones.SIZES)
def test_any_image_gives_features_and_finite_gradients(channels, size):
    backbones.check_image(VisionTransformer, channels, size)


@pytest.mark.parametrize("patch_size", [4, (8, 2), (64, 64)])
@pytest.mark.parametrize("pooling", ["cls", "mean", "cls+mean"])
def test_any_patch_and_pooling(patch_size, pooling):
    backbones.check_image(partial(VisionTransformer, patch_size=patch_size, pooling=pooling), 2, (13, 30))


def test_weights_depend_on_the_seed_alone():
    backbones.check_seed(VisionTransformer)


def test_a_level_passes_the_norms():
    backbones.check_level(VisionTransformer)


@pytest.mark.parametrize("name", ["vit_micro", "vit_tiny", "vit_38k", "vit_210k"])
def test_number_of_parameters_is_what_the_config_claims(name):
    backbones.check_count(name)


def copied(block, dim, heads):
    """Return torch's pre-norm encoder layer with a block's weights."""
    layer = nn.TransformerEncoderLayer(
        dim, heads, block.expand.out_features, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    state = {}
    for ours, theirs in {
        "attention_norm.": "norm1.",
        "mlp_norm.": "norm2.",
        "query_key_value.": "self_attn.in_proj_",
        "project.": "self_attn.out_proj.",
        "expand.": "linear1.",
        "contract.": "linear2.",
    }.items():
        for kind in ("weight", "bias"):
            state[theirs + kind] = block.state_dict()[ours + kind]
    layer.load_state_dict(state)
    return layer


def disturb(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # zeros and ones would hide what they multiply


@pytest.mark.parametrize(("dim", "heads", "ratio"), [(12, 3, 4.0), (16, 1, 1.5)])
def test_block_matches_torch_encoder_layer(dim, heads, ratio):
    torch.manual_seed(0)
    block = TransformerBlock(dim, heads, ratio)
    disturb(block)
    tokens = torch.randn(2, 9, dim)
    torch.testing.assert_close(block(tokens), copied(block, dim, heads)(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean", "cls+mean"])
def test_forward_matches_torch_layers_on_unfolded_patches(pooling):
    """Patches by unfold and one product, positions added, torch's encoder layers, then pooling; no stem."""
    torch.manual_seed(0)
    network = VisionTransformer(2, (10, 12), (4, 3), (), dim=8, depth=2, heads=2, pooling=pooling)
    disturb(network)
    image = torch.randn(3, 2, 10, 12)
    padded = functional.pad(image, (0, 0, 0, 2), value=-1.0)
    embedding = network.embedding.patches
    tokens = functional.unfold(padded, (4, 3), stride=(4, 3)).transpose(1, 2) @ embedding.weight.flatten(1).T
    tokens = tokens + embedding.bias + network.positions.flatten(2).transpose(1, 2)
    if "cls" in pooling:
        tokens = torch.cat([network.encoder.class_token.repeat(3, 1, 1), tokens], dim=1)
    for block in network.encoder.blocks:
        tokens = copied(block, 8, 2)(tokens)
    tokens = functional.layer_norm(tokens, (8,), network.encoder.norm.weight, network.encoder.norm.bias)
    expected = {"cls": tokens[:, 0], "mean": tokens.mean(dim=1)}
    expected["cls+mean"] = torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)
    torch.testing.assert_close(network(image), expected[pooling], rtol=1e-4, atol=1e-5)


def test_an_image_of_another_size_gets_interpolated_positions():
    network = VisionTransformer(1, (32, 32), (8, 8))
    with torch.no_grad():
        network.positions.copy_(torch.full_like(network.positions, 0.25))  # constant, so also between
    image = torch.full((1, 1, 32, 32), 0.5)
    embedded = network.embedding(functional.pad(image, (0, 32), value=0.5))
    expected = network.encoder((embedded + 0.25).flatten(2).transpose(1, 2))
    torch.testing.assert_close(network(functional.pad(image, (0, 32), value=0.5)), expected)


def test_position_is_seen():
    """Without positions, the mean over tokens would not tell where a patch is."""
    network = VisionTransformer(1, (32, 32), (8, 8), ()).eval()
    image = torch.zeros(1, 1, 32, 32)
    image[..., :8, :8] = 1.0
    moved = image.roll((8, 16), (2, 3))
    assert not torch.allclose(network(image), network(moved), atol=1e-3)
    nn.init.zeros_(network.positions)
    torch.testing.assert_close(network(image), network(moved), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rates", [{"dropout": 0.5}, {"drop_path": 0.5}])
def test_dropout_and_stochastic_depth_act_in_training_only(rates):
    network = VisionTransformer(1, (32, 32), **rates)
    image = torch.rand(8, 1, 32, 32)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 10, "heads": 4}, r"model.network.heads: 4 heads do not divide dim 10; .*"),
        ({"patch_size": 0}, r"model.network: a size of 0 given; .*"),
        ({"patch_size": (8, 3)}, r"model.network: patches of \(8, 3\) every .* give multiples of 2, .*"),
        ({"pooling": "max"}, r"model.network.pooling: 'max' given; give cls, mean or cls\+mean"),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        VisionTransformer(1, (32, 32), **given)
