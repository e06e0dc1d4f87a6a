"""How images change with the parameters behind them: Jacobians by finite differences, for any voice."""

from collections.abc import Callable

import numpy as np

Render = Callable[[np.ndarray], np.ndarray]  # values (n, P) in [0, 1], as the codec normalises them -> images (n, ...)

_TRIED = 2.0**-21 * 4.0 ** np.arange(8)  # 5e-7, since a pitch may need it, to 0.008 of a range
_AGREEMENT = 0.05  # relative; once two steps agree so well, a poorer agreement of larger steps is no chance


def jacobian(render: Render, values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the derivatives of images by normalised values (n, P) -> (n, P, cells) float64, by central differences.

    `steps` (P,) are half the differences, in [0, 1]; at an end of a range the difference is one-sided. A parameter
    whose step is 0 is held: its derivatives are 0 and cost nothing. It renders 2 n images for each other parameter.
    """
    values, steps = np.asarray(values, np.float64), np.asarray(steps, np.float64)
    (varied,) = np.nonzero(steps)
    low, high = (np.repeat(values[:, None], len(varied), axis=1) for _ in range(2))
    at = np.arange(len(varied))
    high[:, at, varied] = np.minimum(high[:, at, varied] + steps[varied], 1.0)
    low[:, at, varied] = np.maximum(low[:, at, varied] - steps[varied], 0.0)
    widths = (high - low)[:, at, varied]
    count = len(values) * len(varied)
    images = render(np.concatenate([low, high]).reshape(2 * count, -1)).reshape(2, len(values), len(varied), -1)
    derivatives = np.zeros((len(values), len(steps), images.shape[-1]))
    derivatives[:, varied] = np.subtract(images[1], images[0], dtype=np.float64) / widths[..., None]
    return derivatives


def choose_steps(render: Render, values: np.ndarray, varied: np.ndarray) -> np.ndarray:
    """Return a step (P,) for `jacobian` of each parameter in the mask `varied` (P,), at values (n, P); 0 for others.

    Small steps suffer from the rounding of float32, large ones from curvature: a pitch with short windows has fringes
    a thousandth of its range apart. Each step is four times the one before; the chosen one agrees best, in the median
    over the points, with the step before.
    """
    chosen, best = np.where(varied, _TRIED[-1], 0.0), np.full(len(varied), np.inf)
    tried = np.array(varied, bool)
    before = jacobian(render, values, np.where(tried, _TRIED[0], 0.0))
    for step in _TRIED[1:]:
        if not tried.any():
            break
        here = jacobian(render, values, np.where(tried, step, 0.0))
        difference = _median_difference(before, here)
        better = tried & (difference < best)
        chosen[better] = step
        tried &= better | (best > _AGREEMENT)
        best = np.where(better, difference, best)
        before = here
    return chosen


def _median_difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the relative difference (P,) of derivatives (n, P, cells), its median over the points that have any."""
    size, apart = np.linalg.norm(other, axis=2), np.linalg.norm(other - one, axis=2)
    relative = [apart[moved, at] / size[moved, at] for at, moved in enumerate((size > 0).T)]
    return np.array([np.median(points) if len(points) else np.inf for points in relative])
