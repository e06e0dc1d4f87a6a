"""Points of the unit cube, each a pure function of (seed, index), for drawing parameters."""

from collections.abc import Sequence

import numpy as np

MODES = ("random", "sobol", "grid")


def random_points(num_dims: int, seed: int, start: int, count: int) -> np.ndarray:
    """Return (count, num_dims) float64 uniforms in [0, 1) for samples `start` .. `start + count - 1`.

    Sample i owns its own Philox counters (Salmon et al., "Parallel random numbers: as easy as
    1, 2, 3", SC 2011), so any range, in any order, on any machine, gives the same numbers.
    """
    counters = -(-num_dims // 4)  # one Philox counter yields four 64-bit words
    generator = np.random.Generator(np.random.Philox(key=seed, counter=start * counters))
    return generator.random((count, 4 * counters))[:, :num_dims]


def sobol_points(num_dims: int, seed: int, start: int, count: int) -> np.ndarray:
    """Return (count, num_dims) float64 points of a scrambled Sobol sequence (scipy.stats.qmc)."""
    from scipy.stats import qmc  # a second of imports that only this mode needs

    sequence = qmc.Sobol(num_dims, scramble=True, bits=32, rng=np.random.default_rng(seed))
    if start:  # scipy forwards neither by 0 nor, with more than 32 bits, at all
        sequence.fast_forward(start)
    return sequence.random(count)


def grid_classes(num_classes: Sequence[int], start: int, count: int) -> np.ndarray:
    """Return (count, P) int64 class indices walking the step grid in order, the last one fastest.

    The walk begins again when it has visited every combination.
    """
    index = np.arange(start, start + count, dtype=np.int64)
    digits = np.empty((count, len(num_classes)), np.int64)
    for column in reversed(range(len(num_classes))):
        index, digits[:, column] = np.divmod(index, num_classes[column])
    return digits
