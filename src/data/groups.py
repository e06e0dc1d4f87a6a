"""Groups of samples that must not be separated, such as the clips of one recording."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def joined_groups(*keys: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return a number (n,) for each sample, equal for those that share one of the keys (n,), also by way of others."""
    ends = []
    for values in keys:
        _, first, place = np.unique(np.asarray(values), return_index=True, return_inverse=True)
        ends.append(first[place])
    count = len(ends[0])
    rows, columns = np.tile(np.arange(count), len(ends)), np.concatenate(ends)
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    return connected_components(links, directed=False)[1]
