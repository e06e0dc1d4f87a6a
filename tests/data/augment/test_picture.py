"""Changed values of pixels, compared with numpy."""

import numpy as np
import torch

from src.data.augment.geometric import Flip, Shift
from src.data.augment.picture import ColourJitter, GaussianNoise, RandAugment
from src.data.augment.random import sample_keys, uniforms


def test_colour_jitter_is_that_of_numpy():
    image = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    uniform = torch.tensor([[0.75, 0.25, 0.9]])
    found = ColourJitter(brightness=0.4, contrast=0.2, saturation=0.5).change(
        torch.from_numpy(image)[None], uniform, None
    )
    wanted = np.clip(image * 1.2, 0, 1)
    wanted = np.clip(wanted.mean() + 0.9 * (wanted - wanted.mean()), 0, 1)
    grey = wanted.mean(axis=0, keepdims=True)
    np.testing.assert_allclose(found[0].numpy(), grey + 1.4 * (wanted - grey), atol=1e-6)


def test_noise_has_the_deviation_that_was_drawn():
    images, transform = torch.full((40, 1, 30, 30), 0.5), GaussianNoise(deviation=0.1)
    uniform = uniforms(sample_keys(torch.arange(40), 0, 0, "x"), transform.draws((1, 30, 30)))
    noise = transform.change(images, uniform, None) - 0.5
    np.testing.assert_allclose(noise.std(dim=(1, 2, 3)).numpy(), 0.1 * uniform[:, 0].numpy(), rtol=0.1, atol=1e-6)


def test_rand_augment_applies_as_many_operations_as_it_says():
    images = torch.rand(400, 1, 5, 5)
    transform = RandAugment(count=2, operations=(Flip(), Shift(pixels=0)))
    uniform = uniforms(sample_keys(torch.arange(400), 0, 0, "x"), transform.draws((1, 5, 5)))
    found = transform.change(images, uniform, None)
    mirrored = (found == images.flip(3)).flatten(1).all(1)
    same = (found == images).flatten(1).all(1)
    assert bool((mirrored | same).all())
    assert 0.4 < float(mirrored.float().mean()) < 0.6  # one of two: twice mirrored is as it was
