"""Moved pixels, compared with slices of padded arrays and with scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from src.data.augment.geometric import Elastic, Flip, GridDistortion, Rotate, Shift, moved, resampled
from src.data.augment.random import sample_keys, uniforms


def drawn(transform, images, seed=0):
    return uniforms(sample_keys(torch.arange(len(images)), seed, 0, "x"), transform.draws(tuple(images.shape[1:])))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (-1, 3), (9, 0)])
def test_moved_images_are_slices_of_padded_ones(down, right):
    image = np.random.default_rng(0).random((2, 4, 5), np.float32)
    wide = np.pad(image, ((0, 0), (10, 10), (10, 10)))
    found = moved(torch.from_numpy(image)[None], torch.tensor([down]), torch.tensor([right]))
    assert np.array_equal(found[0].numpy(), wide[:, 10 - down : 14 - down, 10 - right : 15 - right])


def test_every_picture_has_its_own_shift_and_all_occur():
    images = torch.zeros(600, 1, 9, 9)
    images[:, :, 4, 4] = 1
    places = {
        tuple(place)
        for place in Shift(pixels=1).change(images, drawn(Shift(), images), None)[:, 0].nonzero()[:, 1:].tolist()
    }
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_flip_mirrors_left_to_right():
    images = torch.rand(3, 1, 4, 5)
    assert np.array_equal(Flip().change(images, drawn(Flip(), images), None).numpy(), images.numpy()[..., ::-1])


def test_resampled_images_are_those_of_scipy():
    random = np.random.default_rng(0)
    image = random.random((7, 6)).astype(np.float32)
    rows, columns = random.uniform(-1, 7, (2, 7, 6))
    found = resampled(
        torch.from_numpy(image)[None, None], torch.from_numpy(rows)[None], torch.from_numpy(columns)[None]
    )
    wanted = ndimage.map_coordinates(np.pad(image, 3), [rows + 3, columns + 3], order=1)
    np.testing.assert_allclose(found[0, 0].numpy(), wanted, atol=1e-5)


def test_a_rotation_is_that_of_scipy():
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((15, 15)), 2)
    found = Rotate(degrees=30).change(torch.from_numpy(image)[None, None].float(), torch.tensor([[1.0]]), None)[0, 0]
    turned = [ndimage.rotate(image, angle, reshape=False, order=1) for angle in (30, -30)]
    apart = [np.abs(found.numpy() - one)[3:-3, 3:-3].max() for one in turned]
    assert min(apart) < 1e-4 < max(apart)


@pytest.mark.parametrize("transform", [Elastic(pixels=2, cells=3), GridDistortion(strength=0.5, cells=3), Rotate()])
def test_level_pictures_stay_level_inside_and_moves_are_as_small_as_promised(transform):
    images = torch.ones(20, 1, 16, 16)
    assert (transform.change(images, drawn(transform, images), None)[:, :, 6:10, 6:10] - 1).abs().max() < 1e-5
    ramp = torch.arange(16.0).expand(20, 1, 16, 16)
    moves = (transform.change(ramp, drawn(transform, ramp), None) - ramp)[:, :, 4:12, 4:12].abs()
    assert 0.1 < moves.max() < 4


def test_an_undistorted_grid_changes_nothing():
    images = torch.rand(2, 1, 12, 10)
    middle = torch.full((2, GridDistortion().draws((1, 12, 10))), 0.5)
    torch.testing.assert_close(GridDistortion().change(images, middle, None), images, atol=1e-5, rtol=0)
    middle = torch.full((2, Elastic().draws((1, 12, 10))), 0.5)
    torch.testing.assert_close(Elastic().change(images, middle, None), images, atol=1e-5, rtol=0)
