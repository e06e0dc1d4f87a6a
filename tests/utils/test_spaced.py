"""Evenly spread numbers: all if there are few, otherwise with both ends and steps that differ by at most one."""

import numpy as np
import pytest

from src.utils.spaced import evenly_spaced


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("most", [1, 2, 3, 64])
def test_numbers_are_evenly_spread(count, most):
    found = evenly_spaced(count, most)
    assert len(found) == min(count, most) and found.dtype == np.int64
    if len(found) > 1:
        assert (found[0], found[-1]) == (0, count - 1) and np.ptp(np.diff(found)) <= 1
