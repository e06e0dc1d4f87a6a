"""A dataset in shards: any machine makes them, in any order, and merging gives the same bytes as a single run.

Shard k of n is the directory `{name}.shards/{k}-of-{n}/`. It contains the packed records and the exact values of a
range of samples, in order, and shard.json with the recipe and the checksums.
"""

import hashlib
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, ValidationError

from src import __version__
from src.data.generate import Chunk, assemble, check, describe_source, render
from src.data.info import INFO_FILE, parse_spec
from src.data.paths import Location, RemotePath, is_complete
from src.data.publish import clear_remains, publish, refuse_existing
from src.data.recipe import Recipe, first_difference
from src.data.sensitivity import check_sensitivity
from src.data.source import BLOCK, Source, load_source
from src.data.spec import DatasetSpec
from src.data.vimh.records import CURRENT_METADATA_BYTES, record_bytes
from src.utils.errors import UserError

log = logging.getLogger(__name__)

MANIFEST = "shard.json"
_FILES = ("records", "values")
_PACKAGES = ("torch", "numpy", "numba")  # they compute a sample: other versions may round differently
_CHUNK_BYTES = 2**23  # read at a time when merging: small for memory, large enough to be fast


class _Manifest(BaseModel):
    recipe: dict[str, Any]
    shard: int
    num_shards: int
    versions: dict[str, str] = {}  # older manifests have none
    sha256: dict[str, str]


def shard_indices(size: int, shard: int, num_shards: int) -> range:
    """Return the consecutive blocks of `BLOCK` samples of a shard; shard lengths differ by at most one block."""
    blocks = -(-size // BLOCK)
    return range(shard * blocks // num_shards, (shard + 1) * blocks // num_shards)


def make_shard(
    recipe: Recipe,
    output_dir: Location,
    shard: int,
    num_shards: int,
    overwrite: bool = False,
    workers: int | None = None,
    allow_blind: bool = False,
) -> Location:
    """Make one shard of a recipe's dataset, unless a complete one exists; return its place.

    Raises UserError if the merged dataset exists or the shard is of another recipe, unless `overwrite`, and
    NoEffectError as `src.data.generate.generate`.
    """
    began = time.perf_counter()
    source = load_source(recipe)
    check(source)
    if not overwrite:
        refuse_existing(output_dir / source.name, INFO_FILE)
    place = _shards_dir(source, output_dir) / f"{shard}-of-{num_shards}"
    if _is_made(place, source, overwrite):
        log.info("%s: already exists", place)
        return place
    check_sensitivity(source, allow_blind)
    blocks = shard_indices(recipe.dataset.size, shard, num_shards)
    needed = len(blocks) * BLOCK * sum(_row_bytes(source))
    try:
        with publish(place, MANIFEST, is_complete(place, MANIFEST), needed) as partial:
            sums = _write(partial, render(source, blocks, workers))
            versions = {name: version(name) for name in _PACKAGES}
            manifest = _Manifest(
                recipe=_describe(source), shard=shard, num_shards=num_shards, versions=versions, sha256=sums
            )
            (partial / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    except UserError:
        if not _is_made(place, source, overwrite):  # otherwise another run has made it, with the same bytes
            raise
    log.info("%s: made in %.1f s", place, time.perf_counter() - began)
    return place


def merge_shards(
    recipe: Recipe,
    output_dir: Location,
    num_shards: int,
    overwrite: bool = False,
    pickle: bool = False,
    keep: bool = True,
    allow_blind: bool = False,
) -> tuple[Location, DatasetSpec]:
    """Merge all shards into the dataset, reading each once; return its place and spec.

    Raises UserError if the dataset exists (after removing the shards that a killed merge did not), or if shards are
    missing, damaged or of another recipe, and NoEffectError as `src.data.generate.generate`.
    """
    source = load_source(recipe)
    check(source)
    shards_dir = _shards_dir(source, output_dir)
    places = [shards_dir / f"{shard}-of-{num_shards}" for shard in range(num_shards)]
    found_manifests = [_read_manifest(place) for place in places]
    missing = [shard for shard, manifest in enumerate(found_manifests) if manifest is None]
    manifests = [manifest for manifest in found_manifests if manifest is not None]
    if not overwrite:
        if missing and not keep and _is_merged(output_dir / source.name, source):
            _remove_all(shards_dir, places)
        refuse_existing(output_dir / source.name, INFO_FILE)
    if missing:
        shown = ",".join(map(str, missing))
        found = shards_dir.iterdir() if isinstance(shards_dir, RemotePath) or shards_dir.is_dir() else ()
        counts = {path.name.partition("-of-")[2] for path in found if not path.name.startswith(".")}
        others = [f" (there are shards of num_shards={count})" for count in sorted(counts - {"", str(num_shards)})]
        raise UserError(
            f"{shards_dir}: {len(missing)} of {num_shards} shards are missing{''.join(others)}; make them: "
            f"python generate_vimh.py -m ... num_shards={num_shards} shard={shown}"
        )
    for place, manifest in zip(places, manifests, strict=True):
        _refuse_foreign(place, manifest, source)
    _warn_of_versions(shards_dir, manifests)
    chunks = (
        chunk
        for shard, (place, manifest) in enumerate(zip(places, manifests, strict=True))
        for chunk in _read(place, manifest, source, shard_indices(recipe.dataset.size, shard, num_shards))
    )
    merged = assemble(source, output_dir, chunks, overwrite, pickle, allow_blind)
    if keep:
        log.info("%s: the shards are kept; keep_shards=false removes them", shards_dir)
    else:
        _remove_all(shards_dir, places)
    return merged


def _shards_dir(source: Source, output_dir: Location) -> Location:
    return output_dir / f"{source.name}.shards"


def _describe(source: Source) -> dict[str, Any]:
    """Return everything that determines a shard's bytes."""
    return source.recipe.model_dump(mode="json") | {"program_version": __version__}


def _row_bytes(source: Source) -> tuple[int, int]:
    """Return the sizes in bytes of a sample's record and of its exact values."""
    parameters = len(source.synth.space)
    image_bytes = int(np.prod(source.front_end.image_shape))
    return record_bytes(CURRENT_METADATA_BYTES, parameters, image_bytes), 4 * parameters


def _write(directory: Path, chunks: Iterator[Chunk]) -> dict[str, str]:
    """Write a shard's files; return their checksums."""
    digests = {name: hashlib.sha256() for name in _FILES}
    with (directory / "records").open("wb") as records_file, (directory / "values").open("wb") as values_file:
        for _, records, values in chunks:
            contents = records, np.ascontiguousarray(values, "<f4")
            for name, file, content in zip(_FILES, (records_file, values_file), contents, strict=True):
                file.write(content.data)
                digests[name].update(content.data)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _read(place: Location, manifest: _Manifest, source: Source, blocks: range) -> Iterator[Chunk]:
    """Yield a shard's samples; raise UserError at the end, before the dataset is kept, if the checksums differ."""
    record, value = _row_bytes(source)
    rows = max(1, _CHUNK_BYTES // record)
    stop = min(blocks.stop * BLOCK, source.recipe.dataset.size)
    digests = {name: hashlib.sha256() for name in _FILES}
    with ExitStack() as closing, suppress(FileNotFoundError):
        records_file, values_file = (closing.enter_context((place / name).open("rb")) for name in _FILES)
        for start in range(blocks.start * BLOCK, stop, rows):
            count = min(rows, stop - start)
            contents = records_file.read(count * record), values_file.read(count * value)
            if tuple(map(len, contents)) != (count * record, count * value):
                break  # the checksum differs too
            for digest, content in zip(digests.values(), contents, strict=True):
                digest.update(content)
            yield (
                start,
                np.frombuffer(contents[0], np.uint8).reshape(count, record),
                np.frombuffer(contents[1], "<f4").reshape(count, -1),
            )
    if {name: digest.hexdigest() for name, digest in digests.items()} != manifest.sha256:
        raise UserError(
            f"{place}: its files are damaged (the checksums differ); make the shard again: "
            f"shard={manifest.shard} num_shards={manifest.num_shards}"
        )


def _read_manifest(place: Location) -> _Manifest | None:
    try:
        return _Manifest.model_validate_json((place / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def _is_made(place: Location, source: Source, overwrite: bool) -> bool:
    """Return whether a shard exists and is undamaged; raise UserError if it has another recipe."""
    manifest = _read_manifest(place)
    if manifest is None:
        return False
    try:
        _refuse_foreign(place, manifest, source)
    except UserError:
        if overwrite:
            return False
        raise
    return all(_digest(place / name) == manifest.sha256.get(name) for name in _FILES)


def _refuse_foreign(place: Location, manifest: _Manifest, source: Source) -> None:
    difference = first_difference(manifest.recipe, _describe(source))
    if difference or f"{manifest.shard}-of-{manifest.num_shards}" != place.name:
        difference = difference or f"shard={manifest.shard} num_shards={manifest.num_shards}"
        raise UserError(f"{place}: was made with {difference}; remove it, or replace it with overwrite=true")


def _warn_of_versions(shards_dir: Location, manifests: list[_Manifest]) -> None:
    found = {name: sorted({manifest.versions.get(name, "unknown") for manifest in manifests}) for name in _PACKAGES}
    mixed = "; ".join(f"{name} {', '.join(versions)}" for name, versions in found.items() if len(versions) > 1)
    if mixed:
        log.warning("%s: the shards were made with different versions, whose bytes may differ: %s", shards_dir, mixed)


def _is_merged(place: Location, source: Source) -> bool:
    """Return whether a place contains the complete dataset of a recipe."""
    info = place / INFO_FILE
    with suppress(FileNotFoundError, NotADirectoryError):
        return parse_spec(info.read_bytes(), info).origin.generator == describe_source(source, []).origin.generator
    return False


def _digest(place: Location) -> str | None:
    try:
        with place.open("rb") as file:
            return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _remove_all(shards_dir: Location, places: list[Location]) -> None:
    """Remove shards and the partial shards of killed runs."""
    if isinstance(shards_dir, Path) and not shards_dir.is_dir():
        return
    for place in places:
        (place / MANIFEST).unlink(missing_ok=True)  # first: if this is interrupted, the rest does not count as a shard
        if isinstance(place, Path):
            clear_remains(place)
            shutil.rmtree(place, ignore_errors=True)
        else:
            for path in place.iterdir():
                path.unlink(missing_ok=True)
    if isinstance(shards_dir, Path):
        with suppress(OSError):  # it may contain other files
            shards_dir.rmdir()
