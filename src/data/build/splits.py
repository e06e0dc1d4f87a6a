"""Split samples so that each split has its share of every level of every parameter, and keep groups together."""

import numpy as np
from scipy.sparse import csr_array

from src.parameters.codec import to_class
from src.parameters.space import ParameterSpace


def levels(space: ParameterSpace, values: np.ndarray, bins: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return the level (n, P) int64 of labels (n, P), and the number of levels of each parameter (P,).

    A level is a class, several neighbouring ones if there are more than `bins`, or an equal part of the range of a
    continuous parameter on its scale.
    """
    counts = np.minimum(space.num_classes, bins)
    found = np.empty(values.shape, np.int64)
    unit = space.normalize(values)
    for at, spec in enumerate(space):
        if spec.kind == "continuous":
            found[:, at] = np.minimum((unit[:, at] * counts[at]).astype(np.int64), counts[at] - 1)
        else:
            found[:, at] = to_class(spec, values[:, at].astype(np.float64)) * counts[at] // spec.num_classes
    return found, counts


def stratify(levels: np.ndarray, groups: np.ndarray, shares: tuple[float, ...], seed: int) -> np.ndarray:
    """Return the part (n,) uint8 of each sample: samples of a group are in one part, parts have about their `shares`.

    This is iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, DOI 10.1007/978-3-642-23808-6_10): the rarest
    level is distributed first, each of its samples to the part that lacks most of that level. A level is a value of one
    column of `levels` (n, P); without columns only the shares are kept. Groups (n,) are distributed whole, those with
    most samples of the level first, others in random order.
    """
    _, unit = np.unique(groups, return_inverse=True)
    sizes = np.bincount(unit)
    held = _level_counts(levels, unit, len(sizes))
    by_level = held.tocsc()
    totals = np.asarray(held.sum(axis=0)).reshape(-1)
    wanted = np.outer(shares, totals).tolist()  # lists: a loop over a few numbers is faster than numpy
    room = (np.array(shares) * len(groups)).tolist()
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(sizes))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    part_of = np.full(len(sizes), -1, np.int64)
    remaining = totals.copy()
    while (remaining > 0).any():
        rarest = int(np.where(remaining > 0, remaining, np.inf).argmin())
        column = slice(by_level.indptr[rarest], by_level.indptr[rarest + 1])
        members, amounts = by_level.indices[column], by_level.data[column]
        free = part_of[members] < 0
        members, amounts = members[free], amounts[free]
        for member in members[np.lexsort((rank[members], -amounts))].tolist():
            part = max(range(len(shares)), key=lambda at: (wanted[at][rarest], room[at]))
            part_of[member] = part
            room[part] -= sizes[member]
            own = slice(held.indptr[member], held.indptr[member + 1])
            for level, amount in zip(held.indices[own].tolist(), held.data[own].tolist(), strict=True):
                wanted[part][level] -= amount
        remaining -= np.asarray(held[members].sum(axis=0)).reshape(-1)
    return part_of[unit].astype(np.uint8)


def _level_counts(levels: np.ndarray, unit: np.ndarray, count: int) -> csr_array:
    """Return how many samples of each group (rows) have each level (columns); one column for all without levels."""
    if not levels.shape[1]:
        levels = np.zeros((len(unit), 1), np.int64)
    first = np.cumsum([0, *(levels.max(axis=0) + 1)])
    columns = (levels + first[:-1]).reshape(-1)
    rows = np.repeat(unit, levels.shape[1])
    counts = csr_array((np.ones(len(rows), np.int64), (rows, columns)), shape=(count, int(first[-1])))
    counts.sum_duplicates()
    return counts


def fold_splits(parts: np.ndarray, folds: int, fold: int) -> np.ndarray:
    """Return the split (n,) uint8, an index into SPLITS: `fold` is test, the next one is val, the others are train."""
    split = np.zeros(len(parts), np.uint8)
    split[parts == (fold + 1) % folds] = 1
    split[parts == fold] = 2
    return split
