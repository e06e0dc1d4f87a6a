"""Give the cells of the training split equal numbers of samples: fewer, repeated, mean or rendered ones.

A cell is a combination of levels of some parameters, see src.data.build.splits.levels.
"""

import numpy as np
from scipy.spatial.distance import pdist

from src.data.build.filter import Conditions, matches, unit_limits
from src.data.build.plan import column_of
from src.data.build.splits import levels
from src.data.overlap import hash_rows
from src.parameters.codec import from_class
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError

_MOST_CELLS = 2**20  # empty ones too, since rendering fills them
_MOST_PAIRED = 512  # samples of a cell between which pairs are looked for: 130,816 pairs
_THINNEST = 1e-6  # part of a range that a filter leaves of a cell, below which the cell is outside
_MOST_ADDED = 2**22  # samples: the sounds of some hours, whose labels take 1 GB
_ROUNDS = 64  # of draws of a cell's missing samples; a cell that a filter excludes gives none


def cells_of(space: ParameterSpace, values: np.ndarray, by: list[str], bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell (n,) int64 of labels (n, P), and the number of levels of each parameter in `by`."""
    columns = [column_of(space, name, "balance.by") for name in by]
    found, counts = levels(space, values, bins)
    shape = counts[columns]
    if np.prod(shape.astype(float)) > _MOST_CELLS:
        raise UserError(
            f"balance.by: {', '.join(by)} have more than {_MOST_CELLS:,} cells; name fewer, or lower balance.bins"
        )
    return np.ravel_multi_index(tuple(found[:, columns].T), tuple(shape)), shape


def undersample(cell: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Return the rows, rising, of at most `count` random samples of each cell; None: as many as the smallest has."""
    sizes = np.bincount(cell)
    count = int(sizes[sizes > 0].min()) if count is None else count
    order, place = _shuffled_places(cell, seed)
    return np.sort(order[place < count])


def oversample(cell: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Return the rows that are repeated so that each cell that has a sample has `count`; None: as many as the largest.

    The samples of a cell are repeated as evenly as possible: their numbers of copies differ by one at most.
    """
    sizes = np.bincount(cell)
    count = int(sizes.max()) if count is None else count
    order, place = _shuffled_places(cell, seed)
    _require_few(int(np.maximum(0, count - sizes[sizes > 0]).sum()))
    own = sizes[cell[order]]
    repeats = np.maximum(0, (count - own) // own + (place < (count - own) % own))
    return np.repeat(order, np.where(own < count, repeats, 0))


def close_pairs(cell: np.ndarray, unit: np.ndarray, alike: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Return pairs (m, 2) of rows whose means fill each cell that has a sample up to `count`; None: the largest's size.

    They are those pairs of a cell whose labels `unit` (n, P), in [0, 1], are closest; no pair is used twice, so that a
    cell of few samples may stay smaller. Rows of a pair have the same number in `alike` (n,), that of their categories.
    """
    sizes = np.bincount(cell)
    count = int(sizes.max()) if count is None else count
    order, _ = _shuffled_places(cell, seed)
    first = np.concatenate([[0], np.cumsum(sizes)])
    found = []
    for number in np.flatnonzero((sizes > 1) & (sizes < count)):
        members = order[first[number] : first[number + 1]][:_MOST_PAIRED]
        one, other = np.triu_indices(len(members), 1)
        apart = pdist(unit[members])
        apart[alike[members[one]] != alike[members[other]]] = np.inf
        closest = np.argsort(apart, kind="stable")[: count - sizes[number]]
        closest = closest[np.isfinite(apart[closest])]
        found.append(np.stack([members[one[closest]], members[other[closest]]], axis=1))
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def categories_alike(space: ParameterSpace, values: np.ndarray) -> np.ndarray:
    """Return a number (n,) for each row of labels (n, P), equal for those with the same values of all parameters that
    are not continuous: between these there is no mean."""
    columns = [at for at, spec in enumerate(space) if spec.kind != "continuous"]
    if not columns:
        return np.zeros(len(values), np.int64)
    return np.unique(values[:, columns], axis=0, return_inverse=True)[1].reshape(-1)


def draw_missing(
    space: ParameterSpace,
    values: np.ndarray,
    by: list[str],
    bins: int,
    count: int | None,
    conditions: Conditions,
    taken: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Draw new labels (m, P) float32 that fill each cell of labels (n, P), empty ones too, up to `count`; None: the
    largest's size.

    A parameter is uniform on its scale within the cell and within the `conditions` of a filter. No labels are drawn
    twice, nor any whose hash is in `taken` (k,), see src.data.overlap; if there are no others, a cell stays smaller.
    """
    cell, shape = cells_of(space, values, by, bins)
    sizes = np.bincount(cell, minlength=int(np.prod(shape)))
    missing = np.maximum(0, (int(sizes.max()) if count is None else count) - sizes)
    low, high = _ends(space, by, shape, unit_limits(space, conditions))
    missing[(high - low < _THINNEST).any(axis=1)] = 0
    _require_few(int(missing.sum()))
    generator = np.random.Generator(np.random.Philox(key=seed + 2**64))
    found = [np.empty((0, len(space)), np.float32)]
    for _ in range(_ROUNDS):
        wanted = np.repeat(np.arange(len(missing)), missing)
        if not len(wanted):
            break
        drawn = _draw(space, low[wanted], high[wanted], generator.random((len(wanted), len(space))))
        good = np.flatnonzero(matches(space, drawn, conditions) & (cells_of(space, drawn, by, bins)[0] == wanted))
        keys = hash_rows(drawn[good])
        new = np.unique(keys, return_index=True)[1]
        new = np.sort(new[~np.isin(keys[new], taken)])
        taken = np.concatenate([taken, keys[new]])
        missing = missing - np.bincount(wanted[good[new]], minlength=len(missing))
        found.append(drawn[good[new]])
    return np.concatenate(found)


def _require_few(added: int) -> None:
    if added > _MOST_ADDED:
        raise UserError(
            f"balance: {added:,} samples would be added, and at most {_MOST_ADDED:,} can be; give a lower "
            "balance.count, or fewer parameters in balance.by"
        )


def _ends(space: ParameterSpace, by: list[str], shape: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest place (cells, P) in [0, 1] of labels in each cell and within the limits."""
    count = int(np.prod(shape))
    low, high = (np.repeat(limits[None, :, end], count, axis=0) for end in (0, 1))
    for name, level, parts in zip(by, np.unravel_index(np.arange(count), tuple(shape)), shape, strict=True):
        at = space.index(name)
        low[:, at] = np.maximum(low[:, at], level / parts)
        high[:, at] = np.minimum(high[:, at], (level + 1) / parts)
    return low, high


def _draw(space: ParameterSpace, low: np.ndarray, high: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return labels (n, P) float32 at a uniform place between two limits in [0, 1]; classes are equally likely."""
    unit = low + uniform * (high - low)
    values = space.denormalize(unit)
    for at, spec in enumerate(space):
        if spec.kind != "continuous":
            classes = np.minimum(np.floor(unit[:, at] * spec.num_classes), spec.num_classes - 1)
            values[:, at] = from_class(spec, classes)
    return values.astype(np.float32)


def _shuffled_places(cell: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows in order of their cells, in random order within each, and the place (n,) within its cell."""
    # 2^64 more than the seed, with which samples are split: another order
    shuffled = np.random.Generator(np.random.Philox(key=seed + 2**64)).permutation(len(cell))
    order = shuffled[np.argsort(cell[shuffled], kind="stable")]
    sizes = np.bincount(cell)
    first = np.concatenate([[0], np.cumsum(sizes)])
    return order, np.arange(len(order)) - first[cell[order]]
