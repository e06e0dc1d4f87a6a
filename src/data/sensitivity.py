"""How strongly each parameter moves the image: which labels the data can carry, and which not."""

from typing import Any

import numpy as np

from src.data.source import BLOCK, Source

BLIND_LEVELS = 1.0  # a whole range that moves the image by less than one byte level cannot be read from it
BLIND_STEP_LEVELS = 0.2


def measure_sensitivity(source: Source, count: int = BLOCK) -> list[dict[str, Any]]:
    """Return, per varying parameter, {name, step_levels, range_levels, blind}.

    `step_levels` is the median, over the dataset's first `count` samples, of the mean absolute image
    change, in uint8 levels, when that parameter alone moves by one step (down where it cannot go
    up); `range_levels` the same when it moves from its minimum to its maximum.
    """
    space, dataset = source.synth.space, source.recipe.dataset
    values = space.sample(dataset.seed, 0, count, dataset.sampling).astype(np.float64)
    here = source.images(values)[0]
    report = []
    for column, spec in enumerate(space):
        stepped, low, high = values.copy(), values.copy(), values.copy()
        up = values[:, column] + spec.step <= spec.max
        stepped[:, column] += np.where(up, spec.step, -spec.step)
        stepped[:, column] = np.clip(stepped[:, column], spec.min, spec.max)
        low[:, column], high[:, column] = spec.min, spec.max
        step_levels = _change(here, source.images(stepped)[0])
        range_levels = _change(source.images(low)[0], source.images(high)[0])
        blind = step_levels < BLIND_STEP_LEVELS and range_levels < BLIND_LEVELS
        report.append({"name": spec.name, "step_levels": step_levels, "range_levels": range_levels, "blind": blind})
    return report


def _change(before: np.ndarray, after: np.ndarray) -> float:
    difference = np.abs(before.astype(np.int16) - after).mean(axis=(1, 2, 3))
    return round(float(np.median(difference)), 4)


def describe_blind(row: dict[str, Any]) -> str:
    """Return the warning for one blind parameter."""
    return (
        f"{row['name']} does not reach the image: a step moves it by {row['step_levels']:.2f} of 255 levels, the whole "
        f"range by {row['range_levels']:.2f}; fix the parameter, widen its range, or choose a front end that shows it"
    )
