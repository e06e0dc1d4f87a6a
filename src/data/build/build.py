"""Build a dataset from others: plan which samples it holds, then copy each image once."""

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from src import __version__
from src.data.audio_folder import CLIPS_FILE
from src.data.build.clips import clips_csv, has_clips
from src.data.build.config import BuildConfig
from src.data.build.mean import mean_images, require_power
from src.data.build.merge import open_pool
from src.data.build.operations import make_plan
from src.data.build.plan import Plan
from src.data.build.pool import Pool
from src.data.info import INFO_FILE
from src.data.names import digest
from src.data.origin import source_of
from src.data.paths import CACHE_DIR, Location, is_complete
from src.data.recipe import SPLITS
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.data.spec_schema import as_name
from src.data.vimh.records import pack_records
from src.data.vimh.writer import DatasetWriter
from src.utils.errors import UserError
from src.utils.terminal import counted

_BLOCK_BYTES = 2**23  # of the images that are copied at once


def build(
    config: BuildConfig, output_dir: Location, cache_dir: str = CACHE_DIR, trust: Iterable[str] = ()
) -> tuple[Location, dict[str, int]]:
    """Write the dataset of a config in `output_dir`, a directory or a URL, and nothing else.

    Returns its place, and how many samples each operation has removed or added. The bytes depend on
    the sources, the config and nothing else. `trust` lists the user's own voices that may render. Raises UserError, one
    line, if the dataset exists, the sources do not fit each other or the config, or the disk is full.
    """
    pool, facts = open_pool(config.sources, cache_dir)
    source = _renderer(pool, trust) if config.balance.method == "render" else None
    plan, changes = make_plan(pool, config)
    spec = _describe(pool, plan, config, facts)
    place = output_dir / spec.name
    _refuse(place, pool)
    with DatasetWriter(place, spec, exact=pool.is_exact) as writer, counted(spec.name, "samples", len(plan)) as advance:
        for number, split in enumerate(SPLITS):
            rows = np.flatnonzero(plan.split == number)
            if not len(rows):
                continue
            size = max(1, _BLOCK_BYTES // int(np.prod(spec.image_shape)))
            for start in range(0, len(rows), size):
                part = plan.take(rows[start : start + size])
                images, scale = _images(pool, part, source)
                records = pack_records(images, spec.space.to_byte(part.values), scale)
                writer.write(split, np.arange(start, start + len(part)), records, part.values)
                advance(len(part))
            writer.add_file(f"{split}_origin.npy", _npy(np.stack([plan.sample[rows], plan.partner[rows]], axis=1)))
        if has_clips(pool) and (plan.sample >= 0).all() and (plan.partner < 0).all():
            writer.add_file(CLIPS_FILE, clips_csv(pool, plan))
    return place, changes


def _renderer(pool: Pool, trust: Iterable[str]) -> Source:
    try:
        return source_of(pool.spec, trust)
    except UserError as error:
        raise UserError(f"balance.method: render given, but {error}; give oversample") from error


def _images(pool: Pool, plan: Plan, source: Source | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (n, C, H, W) uint8 of a plan's samples, and their dB ranges (n, 2) float32."""
    images = np.empty((len(plan), *pool.spec.image_shape), np.uint8)
    scale = np.empty((len(plan), 2), np.float32)
    rendered, means = plan.sample < 0, plan.partner >= 0
    copied = ~rendered & ~means
    if copied.any():
        images[copied], scale[copied] = pool.images(plan.sample[copied])
    if means.any():
        pairs = [pool.images(samples[means]) for samples in (plan.sample, plan.partner)]
        spectral = require_power(pool.spec.origin.spectral)
        images[means], scale[means] = mean_images(spectral, *zip(*pairs, strict=True))
    if rendered.any() and source is not None:
        images[rendered], scale[rendered] = source.images(plan.values[rendered])
    return images, scale


def _describe(pool: Pool, plan: Plan, config: BuildConfig, facts: list[dict[str, Any]]) -> DatasetSpec:
    """Return the description of the built dataset, which states its sources and what was done with them."""
    origin = pool.spec.origin
    parts = [
        {"source": part.source, "split": part.split, "first": int(first)}
        for part, first in zip(pool.parts, pool.first[:-1], strict=True)
    ]
    generator = {
        "seed": config.seed,
        **(origin.generator or {}),
        "built": {"sources": facts, "parts": parts, **config.operations, "seed": config.seed},
        "program_version": __version__,
    }
    name = _name(pool, plan, config, facts)
    return replace(pool.spec, name=name, origin=replace(origin, generator=generator), counts=plan.counts())


def _name(pool: Pool, plan: Plan, config: BuildConfig, facts: list[dict[str, Any]]) -> str:
    """Return the dataset's name; a name that is not given contains a digest of the sources and the operations."""
    channels, height, width = pool.spec.image_shape
    sums = [fact["sha256"] for fact in facts]
    made = f"vimh-{height}x{width}x{channels}_{len(plan)}dss_{pool.spec.origin.synth_type}_{len(pool.spec.space)}p"
    name = config.name or as_name(f"{made}_built_{digest([sums, config.operations, config.seed])}")
    return name if config.split.folds is None else f"{name}_fold{config.split.fold}of{config.split.folds}"


def _refuse(place: Location, pool: Pool) -> None:
    """Raise UserError if a place exists or is in one of the sources, which are only read."""
    if isinstance(place, Path):
        for part in pool.parts:
            if part.dataset.directory.resolve() in place.resolve().parents:
                raise UserError(f"{place}: is in a source, and sources are only read; give another build.output_dir")
    if is_complete(place, INFO_FILE):
        raise UserError(f"{place}: already exists and was not changed; give another name, or remove it")


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()
