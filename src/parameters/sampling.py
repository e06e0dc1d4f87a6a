"""Points of the unit cube and of step grids, as pure functions of (seed, index), for drawing parameters."""

from collections.abc import Sequence

import numpy as np

MODES = ("random", "sobol", "grid")
MAX_ORDERED = 2**62  # combinations drawn without repetition; with more, a repetition is improbable
_ROUNDS = 12  # with 8, orders of six numbers are measurably non-uniform
_KEYS_AT = 2**191  # Philox counter of the keys: above those of samples, below those of src.data.recipe


def random_points(num_dims: int, seed: int, start: int, count: int) -> np.ndarray:
    """Return (count, num_dims) float64 uniforms in [0, 1) for samples `start` .. `start + count - 1`.

    Sample i has its own Philox counters (Salmon et al., "Parallel random numbers: as easy as
    1, 2, 3", SC 2011), so any range in any order on any machine gives the same numbers.
    """
    counters = -(-num_dims // 4)  # one Philox counter yields four 64-bit words
    generator = np.random.Generator(np.random.Philox(key=seed, counter=start * counters))
    return generator.random((count, 4 * counters))[:, :num_dims]


def sobol_points(num_dims: int, seed: int, start: int, count: int) -> np.ndarray:
    """Return (count, num_dims) float64 points of a scrambled Sobol sequence (scipy.stats.qmc)."""
    from scipy.stats import qmc  # takes a second to import, and only this mode needs it

    sequence = qmc.Sobol(num_dims, scramble=True, bits=32, rng=np.random.default_rng(seed))
    if start:  # scipy cannot forward by 0, nor with more than 32 bits
        sequence.fast_forward(start)
    return sequence.random(count)


def grid_classes(num_classes: Sequence[int], start: int, count: int) -> np.ndarray:
    """Return (count, P) int64 class indices of the step grid in order, with the last index changing fastest.

    After the last combination it begins again.
    """
    return combinations(num_classes, np.arange(start, start + count, dtype=np.int64))


def combinations(num_classes: Sequence[int], index: np.ndarray) -> np.ndarray:
    """Return the (n, P) int64 class indices of combinations `index` (n,), with the last index changing fastest."""
    digits = np.empty((len(index), len(num_classes)), np.int64)
    for column in reversed(range(len(num_classes))):
        index, digits[:, column] = np.divmod(index, num_classes[column])
    return digits


def shuffled(size: int, seed: int, start: int, count: int) -> np.ndarray:
    """Return (count,) int64: elements from `start` on of a random order of 0 .. size - 1, repeated infinitely.

    A Feistel network over a power of four, repeated until the number is below `size` (Black & Rogaway, "Ciphers with
    arbitrary finite domains", CT-RSA 2002), computes each element independently. `size` is at most 2^62.
    """
    bits = ((size - 1).bit_length() + 1) // 2
    generator = np.random.Generator(np.random.Philox(key=seed, counter=_KEYS_AT))
    keys = generator.integers(0, 2**64, _ROUNDS, np.uint64, endpoint=False)
    values = np.array([place % size for place in range(start, start + count)], np.uint64)
    outside = np.ones(count, bool)
    while outside.any():
        values[outside] = _encrypt(values[outside], keys, np.uint64(bits))
        outside = values >= size
    return values.astype(np.int64)


def _encrypt(values: np.ndarray, keys: np.ndarray, bits: np.uint64) -> np.ndarray:
    """Apply a permutation of the numbers below 4^bits."""
    mask = (np.uint64(1) << bits) - np.uint64(1)
    left, right = values >> bits, values & mask
    for key in keys:
        mixed = right + key  # then the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(31))) & mask)
    return (left << bits) | right
