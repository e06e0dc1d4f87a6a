"""Choose some of many, evenly spread."""

import numpy as np


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Return at most `most` of the numbers 0 to `count` - 1, rising, int64: the first, the last, and some between."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
