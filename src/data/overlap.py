"""Count test records that are also training records: errors on them measure memorisation."""

import numpy as np

from src.data.dataset import BatchDataset
from src.utils.spaced import evenly_spaced

MOST_COMPARED = 4096  # test records: enough to detect 1 %; 4 MB of 32x32 images
_CHUNK = 256


def count_shared(train: BatchDataset, test: BatchDataset, targets: np.ndarray) -> tuple[int, int]:
    """Return the number of test records with the labels and the image of a training record, and the number compared.

    `targets` are those of `train`, (n, P). At most 4,096 test records, evenly spaced, are compared, each with the
    first training record of the same labels. That is sufficient if a sound is a function of its labels.
    """
    rows = evenly_spaced(len(test), MOST_COMPARED)
    keys, place_of = np.unique(hash_rows(test.targets()[rows]), return_inverse=True)
    train_keys = hash_rows(targets)
    possible = np.zeros(2**16, bool)  # by the last 16 bits: five times faster than searching all keys
    possible[keys & np.uint64(0xFFFF)] = True
    hits = np.flatnonzero(possible[train_keys & np.uint64(0xFFFF)])
    place = np.minimum(np.searchsorted(keys, train_keys[hits]), len(keys) - 1)
    same = keys[place] == train_keys[hits]
    first = np.full(len(keys), -1)
    first[place[same][::-1]] = hits[same][::-1]  # the last one written is the first of the file
    twins = first[place_of]
    found = np.flatnonzero(twins >= 0)
    step = _CHUNK if not (test.ragged or train.ragged) else 1  # a batch has one shape
    shared = 0
    for start in range(0, len(found), step):
        at = found[start : start + step]
        ours, theirs = (data.__getitems__(which)["image"] for data, which in ((test, rows[at]), (train, twins[at])))
        if ours.shape == theirs.shape:
            shared += int((ours == theirs).flatten(1).all(dim=1).sum())
    return shared, len(rows)


def hash_rows(targets: np.ndarray) -> np.ndarray:
    """Return hashes (n,) uint64 of rows (n, P) float32."""
    words = np.ascontiguousarray(targets + np.float32(0.0)).view(np.uint32).astype(np.uint64)  # -0.0 becomes 0.0
    mixed = np.zeros(len(words), np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
