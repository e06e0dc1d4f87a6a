"""How strongly each parameter changes the image, and why some parameters have no effect."""

import logging
from dataclasses import replace

import numpy as np

from src.data.source import BLOCK, Source
from src.data.spec_schema import Sensitivity
from src.parameters.codec import shift_by_classes
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from src.utils.terminal import counted

log = logging.getLogger(__name__)

BLIND_LEVELS = 1.0  # a whole range that changes the image by less than one byte level cannot be inferred from it
BLIND_STEP_LEVELS = 0.2
BLIND_DB = 0.3  # the same for the dB range that a record holds with its image: about one byte level of 80 dB
UNMOVED_SHARE = 0.05  # shipped parameters change every image; if a quarter of a range is beyond a limit, it is 0.25
_TRIALS = BLOCK  # sounds with other ranges that are rendered to find a cause
_MOVED_SHARE = 0.02  # fraction of these that must change for an effect

_Freed = dict[str, ParameterSpec]  # parameters by name, with the range that their voice allows


class NoEffectError(UserError):
    """A dataset would hold labels without effect on its records; `rows` is the complete report."""

    def __init__(self, rows: list[Sensitivity]):
        self.rows = rows
        groups: dict[str, list[Sensitivity]] = {}
        for row in filter(is_lost, rows):
            groups.setdefault(row.cause, []).append(row)
        super().__init__("; ".join(map(_describe_together, groups.values())))


def measure_sensitivity(source: Source, count: int = BLOCK) -> list[Sensitivity]:
    """Return how strongly each varying parameter changes the image.

    `step_levels` is the median, over the dataset's first `count` samples, of the mean absolute image change in uint8
    levels if only that parameter changes by one step (down if it cannot go up); `unmoved` is the fraction of images
    that do not change at all. `range_levels` is the median change between its minimum and its maximum, and `range_db`
    that of the record's dB range. `cause` says why a blind parameter has no effect, if a cause is found. The first
    samples of a grid are only a corner of it, so random samples are used instead.
    """
    space, dataset = source.synth.space, source.recipe.dataset
    sampling = "random" if dataset.sampling == "grid" else dataset.sampling
    values = space.sample(dataset.seed, 0, count, sampling).astype(np.float64)
    here = source.images(values)[0]
    report: list[Sensitivity] = []
    causes: list[_Freed] = []
    with counted("effect of each parameter", "parameters", len(space)) as advance:
        for column, spec in enumerate(space):
            above, below = (shift_by_classes(spec, values[:, column], classes) for classes in (1, -1))
            stepped = values.copy()
            stepped[:, column] = np.clip(np.where(above <= spec.max, above, below), spec.min, spec.max)
            ends = [_with(values, column, end) for end in (spec.min, spec.max)]
            images, decibels = source.images(np.concatenate([stepped, *ends]))  # at once, so on several cores
            (moved, low, high), (_, low_db, high_db) = (np.split(part, 3) for part in (images, decibels))
            steps = _changes(here, moved)
            step_levels = round(float(np.median(steps)), 4)
            range_levels = round(float(np.median(_changes(low, high))), 4)
            range_db = round(float(np.median(np.abs(high_db - low_db).max(axis=1))), 4)
            blind = step_levels < BLIND_STEP_LEVELS and range_levels < BLIND_LEVELS
            report.append(
                Sensitivity(
                    name=spec.name,
                    step_levels=step_levels,
                    range_levels=range_levels,
                    blind=blind,
                    unmoved=float(np.mean(steps == 0)),
                    range_db=range_db,
                    cause=_find_cause(source, spec, range_db, causes) if blind else "",
                )
            )
            advance(1)
    return report


def _find_cause(source: Source, spec: ParameterSpec, range_db: float, earlier: list[_Freed]) -> str:
    """Return why a varying parameter has no effect on the image, such as `filter_env_amount is 0`; "" if unknown.

    The cause is found by measuring: first the parameter's own range is extended to what the voice allows, then the
    ranges of all other parameters. If that gives an effect, the other ranges are restored one by one, and those that
    the effect needs are the cause. It is added to `earlier`, the causes of other parameters, which are tried first.
    """
    if range_db >= BLIND_DB:
        return "spectral.image_scaling=per_sample removes it from the image"
    allowed = {parameter.name: parameter for parameter in source.synth.voice.parameters}
    try:
        own, widest = spec.describe_range(False), allowed[spec.name]
        if own != widest.describe_range(False) and _moved(source, {spec.name: widest}, spec.name) > 0.5:
            return f"its range, {own}, is too narrow"
        for freed in earlier:
            if spec.name not in freed and _moved(source, freed, spec.name) >= _MOVED_SHARE:
                return _describe_freed(source, freed)
        others = [other.name for other in source.synth.space.specs if other.name != spec.name]
        freed = {name: allowed[name] for name in others}
        if _moved(source, freed, spec.name) < _MOVED_SHARE:
            return ""
        without = {name: _moved(source, _leave_out(freed, name), spec.name) for name in freed}
        for name in sorted(without, key=without.__getitem__, reverse=True):  # the least needed range is restored first
            if _moved(source, _leave_out(freed, name), spec.name) >= _MOVED_SHARE:
                freed = _leave_out(freed, name)
    except UserError:  # the voice fails at values outside the dataset's ranges
        return ""
    earlier.append(freed)
    return _describe_freed(source, freed)


def _leave_out(freed: _Freed, name: str) -> _Freed:
    return {other: spec for other, spec in freed.items() if other != name}


def _describe_freed(source: Source, freed: _Freed) -> str:
    causes = [spec for spec in source.synth.space.specs if spec.name in freed]
    return " and ".join(f"{spec.name} is {spec.describe_range(False)}" for spec in causes)


def _moved(source: Source, freed: _Freed, name: str) -> float:
    """Return the fraction of images that a parameter changes if some parameters have other ranges.

    In each sound about half of all parameters are drawn from these ranges, the others from the recipe's ranges.
    """
    synth = source.synth
    space = ParameterSpace(freed.get(spec.name, spec) for spec in synth.space.specs)
    wider = replace(source, synth=replace(synth, space=space))
    values = space.sample(0, 0, _TRIALS).astype(np.float64)
    given = synth.space.complete(synth.space.sample(0, 0, _TRIALS))
    as_given = np.random.default_rng(0).random(values.shape) < 0.5
    as_given[:, space.index(name)] = False
    values = np.where(as_given, np.stack([given[other] for other in space.names], axis=1), values)
    column = space.index(name)
    if name in freed:  # compares two drawn values, since the ends of the range may be silent
        other = _with(values, column, np.roll(values[:, column], 1))
    else:
        values, other = (_with(values, column, end) for end in (space.min[column], space.max[column]))
    changes = _changes(wider.images(values)[0], wider.images(other)[0])
    return float(np.mean(changes >= BLIND_LEVELS))


def _with(values: np.ndarray, column: int, given: float | np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[:, column] = given
    return changed


def _changes(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return each image's mean absolute change, (n,)."""
    return np.abs(before.astype(np.int16) - after).mean(axis=(1, 2, 3))


def is_lost(row: Sensitivity) -> bool:
    """Return whether a parameter has no effect on a record, neither on its image nor on its dB range."""
    return row.blind and row.range_db < BLIND_DB


def describe_blind(row: Sensitivity) -> str:
    """Return one sentence about a parameter without measurable effect: the cause, the measurements, the remedy."""
    name, cause = row.name, row.cause
    remedy = "make the parameter constant, widen its range, or choose a front end in which it has an effect"
    if "per_sample" in cause:
        remedy = "give spectral.image_scaling=global, or model.auxiliary=film, which reads the dB range"
    elif cause.endswith("too narrow"):
        remedy = "widen the range, or make the parameter constant"
    elif cause:
        remedy = f"change this, or make {name} constant"
    because = f" because {cause}" if cause else ""
    return (
        f"{name} has no measurable effect{because}: a step changes the image by {row.step_levels:.2f} of 255 "
        f"levels, the whole range by {row.range_levels:.2f}; {remedy}"
    )


def _describe_together(rows: list[Sensitivity]) -> str:
    """Return one sentence about parameters that have no effect for the same reason."""
    if len(rows) == 1:
        return describe_blind(rows[0])
    *first, last = (row.name for row in rows)
    cause = rows[0].cause
    because = (
        f" because {cause}; change this, or make them constant"
        if cause
        else "; make them constant, or choose another front end"
    )
    return f"{', '.join(first)} and {last} have no measurable effect{because}"


def check_sensitivity(source: Source, allow_blind: bool) -> list[Sensitivity]:
    """Return `measure_sensitivity`'s rows, log warnings; raise NoEffectError for lost labels unless `allow_blind`."""
    rows = measure_sensitivity(source)
    if any(is_lost(row) for row in rows) and not allow_blind:
        raise NoEffectError(rows)
    for row in rows:
        if row.blind:
            log.warning(describe_blind(row))
        elif row.unmoved > UNMOVED_SHARE:
            log.warning(
                "%s: a step changes nothing at all in %.0f %% of the images, so different labels have the same sound; "
                "give it larger steps, or narrow its range or another parameter's to what changes the sound",
                *(row.name, 100 * row.unmoved),
            )
    return rows
