"""Shifts and mirrored images: every result is one of those possible, all occur, and the input stays."""

import numpy as np
import torch

from src.data.images.augment import shift_and_flip


def possible(image, shift, flip):
    """Return all results for an image (C, H, W), by slices of a padded copy."""
    found = []
    for mirrored in (image, image[..., ::-1]) if flip else (image,):
        padded = np.pad(mirrored, ((0, 0), (shift, shift), (shift, shift)))
        height, width = image.shape[1:]
        for down in range(2 * shift + 1):
            for right in range(2 * shift + 1):
                found.append(padded[:, down : down + height, right : right + width].tobytes())
    return found


def test_results_are_all_the_shifted_and_mirrored_images():
    random = np.random.default_rng(0)
    image = random.random((2, 4, 5), np.float32)
    images = torch.from_numpy(np.tile(image, (400, 1, 1, 1)))
    for shift, flip in ((0, False), (0, True), (1, False), (1, True)):
        torch.manual_seed(0)
        found = {one.numpy().tobytes() for one in shift_and_flip(images, shift, flip)}
        assert found == set(possible(image, shift, flip))
    assert np.array_equal(images.numpy(), np.tile(image, (400, 1, 1, 1)))


def test_every_image_of_a_batch_has_its_own_shift_and_results_follow_the_seed():
    images = torch.rand(20, 1, 6, 6)
    torch.manual_seed(1)
    first = shift_and_flip(images, 2, True)
    torch.manual_seed(1)
    assert torch.equal(first, shift_and_flip(images, 2, True)) and first.shape == images.shape
    for one, original in zip(first.numpy(), images.numpy(), strict=True):
        assert one.tobytes() in possible(original, 2, True)
