"""How strongly each parameter moves the image: which labels the data can carry, and which not."""

from typing import Any

import numpy as np

from src.data.source import BLOCK, Source

BLIND_LEVELS = 1.0  # a whole range that moves the image by less than one byte level cannot be read from it
BLIND_STEP_LEVELS = 0.2
UNMOVED_SHARE = 0.05  # no parameter of ours leaves any image as it was; a clamped quarter of a range leaves a quarter


def measure_sensitivity(source: Source, count: int = BLOCK) -> list[dict[str, Any]]:
    """Return, per varying parameter, {name, step_levels, range_levels, blind, unmoved}.

    `step_levels` is the median, over the dataset's first `count` samples (of a grid, whose first ones are a corner,
    over as many random ones), of the mean absolute image change, in uint8 levels, when that parameter alone moves by
    one step (down where it cannot go up), and `unmoved` the share of images that do not change at all then;
    `range_levels` is the median change when it moves from its minimum to its maximum.
    """
    space, dataset = source.synth.space, source.recipe.dataset
    sampling = "random" if dataset.sampling == "grid" else dataset.sampling
    values = space.sample(dataset.seed, 0, count, sampling).astype(np.float64)
    here = source.images(values)[0]
    report = []
    for column, spec in enumerate(space):
        stepped, low, high = values.copy(), values.copy(), values.copy()
        up = values[:, column] + spec.step <= spec.max
        stepped[:, column] += np.where(up, spec.step, -spec.step)
        stepped[:, column] = np.clip(stepped[:, column], spec.min, spec.max)
        low[:, column], high[:, column] = spec.min, spec.max
        steps = _changes(here, source.images(stepped)[0])
        step_levels = round(float(np.median(steps)), 4)
        range_levels = round(float(np.median(_changes(source.images(low)[0], source.images(high)[0]))), 4)
        row = {"name": spec.name, "step_levels": step_levels, "range_levels": range_levels}
        row["blind"] = step_levels < BLIND_STEP_LEVELS and range_levels < BLIND_LEVELS
        report.append(row | {"unmoved": float(np.mean(steps == 0))})
    return report


def _changes(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return each image's mean absolute change, (n,)."""
    return np.abs(before.astype(np.int16) - after).mean(axis=(1, 2, 3))


def describe_blind(row: dict[str, Any]) -> str:
    """Return the warning for one blind parameter."""
    return (
        f"{row['name']} does not reach the image: a step moves it by {row['step_levels']:.2f} of 255 levels, the whole "
        f"range by {row['range_levels']:.2f}; fix the parameter, widen its range, or choose a front end that shows it"
    )


def describe_unmoved(row: dict[str, Any]) -> str:
    """Return the warning for a parameter of which a part of the range sounds alike."""
    return (
        f"{row['name']}: a step changes nothing at all in {100 * row['unmoved']:.0f} % of the images; where its range, "
        "or another parameter's, goes beyond what can be heard at this sample rate, labels differ and sounds do not"
    )
