"""Shares of mixed images: areas as drawn, and whatever is replaced counts."""

import numpy as np
import pytest
import torch

from src.data.augment.mix import CutMix, MixUp, TokenMix
from src.data.augment.random import betas, sample_keys, uniforms


def weights_of(transform, count=500, shape=(1, 8, 12)):
    uniform = uniforms(sample_keys(torch.arange(count), 0, 0, "x"), transform.draws(shape))
    return uniform, transform.weights(uniform, shape)


def test_mixup_has_one_share_for_all_pixels():
    uniform, weights = weights_of(MixUp(alpha=0.4))
    assert weights.shape == (500, 1, 8, 12)
    assert torch.equal(weights, betas(uniform[:, 0], 0.4)[:, None, None, None].expand_as(weights))


def test_cutmix_replaces_a_rectangle_of_about_the_area_drawn():
    uniform, weights = weights_of(CutMix())
    replaced = weights[:, 0] == 0
    assert torch.equal(replaced | (weights[:, 0] == 1), torch.ones_like(replaced))
    heights, widths = replaced.any(2).sum(1), replaced.any(1).sum(1)
    assert torch.equal(replaced.sum((1, 2)), heights * widths)
    wanted = 1 - betas(uniform[:, 0], 1.0)
    uncut = ~(replaced[:, 0].any(1) | replaced[:, -1].any(1) | replaced[:, :, 0].any(1) | replaced[:, :, -1].any(1))
    areas = replaced[uncut].float().mean((1, 2))
    assert int(uncut.sum()) > 20 and float((areas - wanted[uncut]).abs().max()) < 0.15


def test_a_patch_larger_than_the_image_is_all_of_it_and_needs_no_more_memory():
    _, weights = weights_of(TokenMix(patch=4096), count=1000)  # 67 GB, were the patch whole
    assert weights.shape == (1000, 1, 8, 12) and set(weights.mean((1, 2, 3)).tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("patch", [4, 5])
def test_token_mix_replaces_whole_patches_at_different_places(patch):
    uniform, weights = weights_of(TokenMix(patch=patch))
    rows, columns = -(-8 // patch), -(-12 // patch)
    blocks = weights[:, 0, ::patch, ::patch]
    wide = np.kron(blocks.numpy(), np.ones((1, patch, patch)))[:, :8, :12]
    assert np.array_equal(weights[:, 0].numpy(), wide) and blocks.shape[1:] == (rows, columns)
    counts = (blocks == 0).sum((1, 2))
    assert torch.equal(counts, ((1 - betas(uniform[:, 0], 1.0)) * rows * columns).round().long())
    ever = (blocks == 0).float().mean(0)
    assert float(ever.min()) > 0.35 and float(ever.max()) < 0.65
