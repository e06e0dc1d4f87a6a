"""Test records that are training records too: a test of them measures memory."""

import numpy as np

from src.data.vimh_dataset import VIMHDataset

LOOKED_AT = 4096  # test records that are compared: enough for a share of 1 %, and 4 MB of images of 32x32
_CHUNK = 256


def count_shared(train: VIMHDataset, test: VIMHDataset) -> tuple[int, int]:
    """Return how many test records have the labels and the image of a training record, and of how many looked at.

    Test records are compared with the first training record of the same labels, which is enough where a sound is a
    function of its labels: at most 4,096 of them, evenly spaced.
    """
    rows = np.unique(np.linspace(0, len(test) - 1, min(len(test), LOOKED_AT)).astype(np.int64))
    keys, place_of = np.unique(_hash(test.targets()[rows]), return_inverse=True)
    train_keys = _hash(train.targets())
    place = np.minimum(np.searchsorted(keys, train_keys), len(keys) - 1)
    hits = np.flatnonzero(keys[place] == train_keys)
    first = np.full(len(keys), -1)
    first[place[hits][::-1]] = hits[::-1]  # the last one written is the first of the file
    twins = first[place_of]
    found = np.flatnonzero(twins >= 0)
    step = _CHUNK if test.records.offsets is None and train.records.offsets is None else 1  # a batch has one shape
    shared = 0
    for start in range(0, len(found), step):
        at = found[start : start + step]
        ours, theirs = (data.__getitems__(which)["image"] for data, which in ((test, rows[at]), (train, twins[at])))
        if ours.shape == theirs.shape:
            shared += int((ours == theirs).flatten(1).all(dim=1).sum())
    return shared, len(rows)


def _hash(targets: np.ndarray) -> np.ndarray:
    """Return (n,) uint64 that differ, but for chance, where rows (n, P) float32 do."""
    words = np.ascontiguousarray(targets + np.float32(0.0)).view(np.uint32).astype(np.uint64)  # -0.0 becomes 0.0
    mixed = np.zeros(len(words), np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
