"""Hidden spans: every width and place occurs, and nothing else changes."""

import torch

from src.data.augment.masks import Erase, SpecAugment, spans
from src.data.augment.random import sample_keys, uniforms


def drawn(transform, images):
    return uniforms(sample_keys(torch.arange(len(images)), 0, 0, "x"), transform.draws(tuple(images.shape[1:])))


def test_spans_are_all_those_possible():
    found = spans(uniforms(sample_keys(torch.arange(2000), 0, 0, "x"), 2), 5, 2)
    seen = {tuple(row) for row in found.int().tolist()}
    possible = {
        tuple(int(start <= cell < start + width) for cell in range(5))
        for width in (0, 1, 2)
        for start in range(6 - width)
    }
    assert seen == possible


def test_spec_augment_hides_whole_frames_and_rows_and_nothing_else():
    images = torch.rand(200, 2, 9, 7) + 0.1
    transform = SpecAugment(frames=3, rows=2, frame_masks=2, row_masks=1)
    changed = transform.change(images, drawn(transform, images), None)
    hidden = changed == 0
    assert torch.equal(changed[~hidden], images[~hidden])
    frames, rows = hidden.all(dim=(1, 2)), hidden.all(dim=(1, 3))
    assert torch.equal(hidden, (frames[:, None, None, :] | rows[:, None, :, None]).expand_as(hidden))
    assert int(frames.sum(1).max()) in (5, 6) and int(rows.sum(1).max()) == 2


def test_erased_rectangles_are_of_one_piece_and_within_their_size():
    images = torch.ones(300, 1, 8, 8)
    transform = Erase(height=3, width=2)
    hidden = transform.change(images, drawn(transform, images), None)[:, 0] == 0
    heights, widths = hidden.any(2).sum(1), hidden.any(1).sum(1)
    assert torch.equal(hidden.sum((1, 2)), heights * widths)
    assert int(heights.max()) == 3 and int(widths.max()) == 2
