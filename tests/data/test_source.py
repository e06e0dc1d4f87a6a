"""Blocks of a call are rendered on several cores, with the same results as one after the other."""

import threading

import numpy as np
import pytest
import torch

from src.data.source import BLOCK, load_source, rendering_threads
from tests.data.conftest import tiny_recipe


@pytest.fixture
def threads():
    """Set torch's number of threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_several_threads_render_the_same_images_and_sounds(threads):
    source = load_source(tiny_recipe(**{"dataset.size": 1000}))
    values = source.synth.space.sample(0, 0, 3 * BLOCK + 5).astype(np.float64)
    found = []
    for count in (1, 3):
        threads(count)
        found.append((*source.images(values), *source.float_images(values), source.sounds(values)))
        assert torch.get_num_threads() == count
    for one, three in zip(*found, strict=True):
        assert len(one) == len(values)
        np.testing.assert_array_equal(one, three)


def test_a_thread_that_renders_uses_one_thread_of_torch_and_makes_no_others(threads):
    threads(4)
    source, names = load_source(tiny_recipe(**{"dataset.size": 1000})), set()

    def work(values):
        names.add(threading.current_thread().name)
        assert torch.get_num_threads() == 1
        return source._each_block(values, lambda block: names.add(threading.current_thread().name))

    with rendering_threads(2) as pool:
        list(pool.map(work, [np.zeros((2 * BLOCK, len(source.synth.space)))] * 4))
    assert len(names) <= 2
