"""Several datasets as one: their inputs and parameters must agree, and only the ranges may differ."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from src.data.build.pool import Part, Pool
from src.data.fetch import fetch
from src.data.info import INFO_FILE, read_spec
from src.data.paths import CACHE_DIR, to_location
from src.data.recipe import SPLITS, first_difference
from src.data.spec import DatasetSpec, Origin
from src.data.vimh.reader import has_split
from src.data.vimh.records import CURRENT_METADATA_BYTES
from src.data.vimh_dataset import VIMHDataset
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from src.utils.files import sha256_of

_SAME = ("scale", "unit", "kind", "values", "step")
_OFF_GRID = 1e-4  # of a step: float rounding in a range, but not another grid


def open_pool(sources: Sequence[str], cache_dir: str = CACHE_DIR) -> tuple[Pool, list[dict[str, Any]]]:
    """Open datasets, directories or URLs, as one pool; also return what each of them is, with the SHA-256 of its files.

    Checksums that a description states are verified. Raises UserError, one line, for a dataset that cannot be read or
    that does not fit the first one.
    """
    directories = [fetch(to_location(given, cache_dir)) for given in sources]
    specs = [read_spec(directory) for directory in directories]
    merged = merge_specs(specs)
    parts, facts = [], []
    for number, (directory, spec) in enumerate(zip(directories, specs, strict=True)):
        columns = np.array([spec.space.names.index(name) for name in merged.space.names])
        files = [INFO_FILE]
        for split in SPLITS:
            if not has_split(directory, split) and not spec.counts.get(split):
                continue
            dataset = VIMHDataset(directory, split, verify=bool(spec.sha256), spec=spec)
            if dataset.ragged:
                raise UserError(f"{directory / split}: its images differ in shape, and a built dataset has one shape")
            parts.append(Part(number, split, dataset, columns))
            files += [name for name in (split, f"{split}_batch", f"{split}_params.npy") if (directory / name).is_file()]
        sums = {name: spec.sha256.get(name) or sha256_of(directory / name) for name in files}
        facts.append({"name": spec.name, "from": sources[number], "sha256": sums})
    return Pool(merged, parts), facts


def merge_specs(specs: Sequence[DatasetSpec]) -> DatasetSpec:
    """Return the description of several datasets as one, without counts; raise UserError for the first difference.

    Ranges are united if their grids of classes agree. The recipe is kept if all datasets have the same, apart from
    ranges and from how samples are drawn.
    """
    first = specs[0]
    for other in specs[1:]:
        _require_same_images(first, other)
    space = merge_spaces([spec.space for spec in specs], [spec.name for spec in specs])
    recipe = _merged_recipe(specs, space)
    generator = first.origin.generator or {}
    same_ranges = recipe is not None and all(spec.space == space for spec in specs)
    origin = Origin(
        sample_rate=first.origin.sample_rate,
        duration=first.origin.duration,
        synth_type=first.origin.synth_type,
        spectral=first.origin.spectral,
        generator={
            "synth": generator.get("synth") if recipe else None,
            **({"config": recipe} if recipe else {}),
        },
        sensitivity=first.origin.sensitivity if same_ranges else [],
    )
    return replace(first, targets=space, origin=origin, counts={}, sha256={}, metadata_bytes=CURRENT_METADATA_BYTES)


def merge_spaces(spaces: Sequence[ParameterSpace], names: Sequence[str]) -> ParameterSpace:
    """Return parameters in the order of the first space, each with the union of its ranges; `names` are for messages.

    Raises UserError if a parameter is missing, or differs in anything but its range, default and description.
    """
    first = spaces[0]
    merged = {spec.name: spec for spec in first.specs}
    for space, name in zip(spaces[1:], names[1:], strict=True):
        own = {spec.name: spec for spec in space.specs}
        for parameter in [*merged, *own]:
            if (parameter in merged) != (parameter in own):
                there, lacking = (names[0], name) if parameter in merged else (name, names[0])
                raise UserError(
                    f"{parameter}: a parameter of {there}, but not of {lacking}; merge datasets of one synth"
                )
        for parameter, spec in own.items():
            merged[parameter] = _united(merged[parameter], spec, names[0], name)
    return ParameterSpace(merged.values())


def _united(one: ParameterSpec, other: ParameterSpec, first: str, second: str) -> ParameterSpec:
    where = f"{one.name}: {{}} in {first}, but {{}} in {second}; they cannot be merged"
    if one.is_fixed or other.is_fixed:
        if (one.min, one.max) != (other.min, other.max):
            raise UserError(where.format(one.describe_range(), other.describe_range()))
        return one
    for key in _SAME:
        mine, yours = getattr(one, key), getattr(other, key)
        if mine != yours and not (key == "step" and abs(mine - yours) < _OFF_GRID * mine):
            raise UserError(where.format(f"{key} {mine}", f"{key} {yours}"))
    if (one.min, one.max) == (other.min, other.max):
        return one
    shift = (other.min - one.min) / one.step
    if one.scale == "log" or one.kind == "categorical" or abs(shift - round(shift)) > _OFF_GRID:
        raise UserError(where.format(one.describe_range(), other.describe_range()))
    return one.model_copy(update={"min": min(one.min, other.min), "max": max(one.max, other.max)})


def _require_same_images(first: DatasetSpec, other: DatasetSpec) -> None:
    one, two = _images(first), _images(other)
    difference = first_difference(one, two)
    if difference:
        raise UserError(
            f"{other.name}: its images differ from those of {first.name}: {difference}; they cannot be merged"
        )


def _images(spec: DatasetSpec) -> dict[str, Any]:
    origin = spec.origin
    return {
        "image_shape": list(spec.image_shape),
        "sample_rate": origin.sample_rate,
        "duration": origin.duration,
        "spectral": origin.spectral and origin.spectral.model_dump(mode="json"),
    }


def _merged_recipe(specs: Sequence[DatasetSpec], space: ParameterSpace) -> dict[str, Any] | None:
    """Return the recipe that renders the labels of all datasets, or None if there is no such recipe."""
    found = [_with_ranges(spec.origin.recipe, space) for spec in specs]
    first = found[0]
    same = all(recipe is not None and _sound_of(recipe) == _sound_of(first or {}) for recipe in found)
    return first if same else None


def _sound_of(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "dataset"}


def _with_ranges(recipe: dict[str, Any] | None, space: ParameterSpace) -> dict[str, Any] | None:
    """Return a recipe with the ranges of a space; None if it does not name one of the parameters."""
    if recipe is None:
        return None
    changed = copy.deepcopy(recipe)
    synth = changed.get("synth")
    entries = synth.get("parameters") if isinstance(synth, dict) else None
    if not isinstance(synth, dict) or not isinstance(entries, dict):
        return None
    for spec in space:
        entry = entries.get(spec.name)
        if entry is None and synth.get("auto"):  # it varies over all that its voice allows
            continue
        if not isinstance(entry, dict):
            return None
        if spec.values is None and (entry.get("min"), entry.get("max")) != (spec.min, spec.max):
            entry.pop("num_classes", None)
            entry |= {"min": spec.min, "max": spec.max, "step": spec.step}
    return changed
