"""Generate a dataset: threads render blocks (the kernels release the GIL), and the writer stores their rows."""

import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from src import __version__
from src.data.inputs import Inputs
from src.data.limits import add_limits
from src.data.paths import Location
from src.data.recipe import SPLITS, DatasetConfig, Recipe
from src.data.repeats import noise_floor_db
from src.data.sensitivity import check_sensitivity
from src.data.source import BLOCK, Source, load_source, rendering_threads
from src.data.spec import DatasetSpec, Origin
from src.data.spec_schema import Sensitivity
from src.data.vimh.records import CURRENT_METADATA_BYTES, pack_records
from src.data.vimh.writer import DatasetWriter
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError
from src.utils.terminal import counted

log = logging.getLogger(__name__)

_SILENT = 1e-5  # -100 dB re full scale

Chunk = tuple[
    int, np.ndarray, np.ndarray
]  # index of the first sample, records (n, stride) uint8, values (n, P) float32


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_source(source: Source, sensitivity: list[Sensitivity], noise_floor: float | None = None) -> DatasetSpec:
    """Return the description of a recipe's dataset; `noise_floor` is that of src.data.repeats."""
    recipe = source.recipe
    noise = {} if noise_floor is None else {"noise_floor_db": noise_floor}
    return DatasetSpec(
        name=source.name,
        inputs=Inputs(source.front_end.image_shape),
        targets=source.synth.space,
        origin=Origin(
            sample_rate=recipe.synth.sample_rate,
            duration=recipe.synth.duration,
            synth_type=recipe.synth.name,
            spectral=recipe.spectral,
            generator={
                "synth": recipe.synth.name,
                "seed": recipe.dataset.seed,
                "config": recipe.model_dump(mode="json"),
                "program_version": __version__,
                **noise,
            },
            sensitivity=sensitivity,
        ),
        counts=recipe.dataset.counts,
        metadata_bytes=CURRENT_METADATA_BYTES,
    )


def blocks(source: Source, indices: range, workers: int) -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
    """Yield (index, block) in order while `workers` threads render the following blocks."""
    with rendering_threads(workers) as pool:
        pending: deque = deque()
        for index in indices:
            pending.append((index, pool.submit(source.block, index)))
            if len(pending) > 2 * workers:
                first, future = pending.popleft()
                yield first, future.result()
        for first, future in pending:
            yield first, future.result()


def render(source: Source, indices: range, workers: int | None = None) -> Iterator[Chunk]:
    """Yield the samples of some blocks, in order."""
    for index, (values, images, scale) in blocks(source, indices, workers or available_cores()):
        yield index * BLOCK, pack_records(images, source.synth.space.to_byte(values), scale), values


def generate(
    recipe: Recipe,
    output_dir: Location,
    overwrite: bool = False,
    pickle: bool = False,
    workers: int | None = None,
    allow_blind: bool = False,
) -> tuple[Location, DatasetSpec]:
    """Generate the dataset of a recipe in `output_dir`, a directory or a URL; return its place and spec.

    The bytes are a pure function of the recipe: they depend neither on `workers` nor on an interrupted attempt. Raises
    UserError if the dataset exists, the disk is full or the recipe is invalid, and NoEffectError if a label has no
    measurable effect on the records, unless `allow_blind`.
    """
    source = load_source(recipe)
    check(source)
    chunks = render(source, range(-(-recipe.dataset.size // BLOCK)), workers)
    return assemble(source, output_dir, chunks, overwrite, pickle, allow_blind)


def check(source: Source) -> None:
    """Raise UserError for a recipe that cannot be generated; warn about settings that may be mistakes."""
    if source.front_end.visible_seconds < 0.9 * source.recipe.synth.duration:
        log.warning(
            "spectral.hop_length %d: the images show only the first %.2f s of %.2f s",
            *(source.front_end.hop_length, source.front_end.visible_seconds, source.recipe.synth.duration),
        )
    for name, entry in source.recipe.synth.parameters.items():
        if entry.get("value") is not None and {"min", "max"} & entry.keys():
            log.warning("%s is fixed at %s; synth.parameters.%s.value=null lets it vary", name, entry["value"], name)
    _refuse_repetition(source.synth.space, source.recipe.dataset)
    if source.recipe.dataset.sampling == "grid":
        _warn_of_fixed(source.synth.space, source.recipe.dataset.size)
    _refuse_silence(source)


def _refuse_silence(source: Source) -> None:
    """Raise UserError if the first clips are all silent; warn if some are."""
    values = source.first_values()
    silent = np.abs(source.sounds(values)).max(axis=1) < _SILENT
    if not silent.any():
        return
    given = source.synth.space.complete(values[silent][:1])
    example = {name: round(float(column[0]), 6) for name, column in given.items()}
    if silent.all():
        raise UserError(
            f"voice {source.synth.voice.name}: the first {len(silent)} clips are all silent, such as {example}; "
            "widen the ranges, or check note, level and gate"
        )
    log.warning("%d of the first %d clips are silent, such as %s", silent.sum(), len(silent), example)


def _refuse_repetition(space: ParameterSpace, dataset: DatasetConfig) -> None:
    """Raise UserError if a combination would be drawn twice, possibly once for train and once for test."""
    combinations = math.prod(space.num_classes) if dataset.sampling == "grid" else space.num_combinations
    if combinations is not None and dataset.size > combinations:
        source = "the grid has" if dataset.sampling == "grid" else "no parameter is continuous, so there are"
        other = ", or dataset.sampling=random" if space.num_combinations is None else ""
        raise UserError(
            f"dataset.size: {dataset.size} given; {source} {combinations} combinations, and a repeated one could be in "
            f"train and in test; give at most dataset.size={combinations}{other}"
        )
    if combinations is not None and dataset.sampling == "sobol":
        raise UserError(
            "dataset.sampling: sobol repeats combinations if no parameter is continuous, and a repeated one could "
            "be in train and in test; give dataset.sampling=random, which takes each combination once"
        )


def _warn_of_fixed(space: ParameterSpace, size: int) -> None:
    combinations = math.prod(space.num_classes)
    faster = [math.prod(space.num_classes[at + 1 :]) for at in range(len(space))]  # the last one changes fastest
    if fixed := [name for name, period in zip(space.names, faster, strict=True) if size <= period]:
        log.warning(
            "dataset.size %d of the grid's %d combinations leaves %s at one value; dataset.sampling=random varies all "
            "parameters",
            *(size, combinations, ", ".join(fixed)),
        )


def assemble(
    source: Source, output_dir: Location, chunks: Iterable[Chunk], overwrite: bool, pickle: bool, allow_blind: bool
) -> tuple[Location, DatasetSpec]:
    """Write a dataset from its samples; return its place and spec."""
    place = output_dir / source.name
    writer = DatasetWriter(place, describe_source(source, []), overwrite, pickle)
    with writer:
        split_of, row_of = source.recipe.place()
        # `with` has already refused an existing dataset
        effects = check_sensitivity(source, allow_blind)
        with counted(place.name, "clips", source.recipe.dataset.size) as advance:
            writer.spec = describe_source(source, add_limits(source, effects), noise_floor_db(source))
            for start, records, values in chunks:
                at = slice(start, start + len(records))
                for number, split in enumerate(SPLITS):
                    members = split_of[at] == number
                    if members.any():
                        writer.write(split, row_of[at][members], records[members], values[members])
                advance(len(values))
    return place, writer.spec
