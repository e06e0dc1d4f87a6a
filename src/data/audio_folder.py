"""A dataset from a folder of sound files and a CSV of their labels: each clip is resampled and analysed once."""

import csv
import errno
import io
import itertools
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import torch

from src.data.folder_checks import find_near_copies, is_clipped
from src.data.folder_plan import Plan
from src.data.groups import joined_groups
from src.data.paths import Location, RemotePath
from src.data.recipe import SPLITS
from src.data.spec import DatasetSpec
from src.data.vimh.records import CURRENT_METADATA_BYTES, pack_records, record_bytes
from src.data.vimh.writer import DatasetWriter
from src.spectral.audio_file import SILENCE, mono_blocks, open_sound, resampling_ratio, samples_before
from src.spectral.recording import cut_clips, resample_blocks
from src.spectral.segments import Segmentation, find_segments
from src.utils.errors import UserError
from src.utils.files import path_text
from src.utils.table import csv_text, show
from src.utils.terminal import counted

log = logging.getLogger(__name__)

CLIPS_FILE = "clips.csv"  # of a dataset: the file and the time of each of its clips
_BLOCK = 64  # clips that are analysed or written at once: 300 MB of 64 spectra of 2,048 points each
_LOGGED = 10  # files whose reason for being left out is logged: one reason often holds for all
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def build(plan: Plan, place: Location) -> DatasetSpec:
    """Write the dataset of a folder to `place` and print what its checks have found; return its description.

    Images wait in a file without a name, so that the splits can follow from the clips that are found; nothing remains
    of an interrupted attempt. Raises UserError if the disk is full, or if no three groups of files have sounds.
    """
    local = place.staging if isinstance(place, RemotePath) else place
    with _spooled(local.parent) as spool:
        owner, start = _read(plan, spool)
        stride = record_bytes(CURRENT_METADATA_BYTES, len(plan.labels.space), int(np.prod(plan.front_end.image_shape)))
        if not len(owner):
            raise UserError(f"{path_text(plan.folder)}: none of its files has a sound; see the warnings")
        records = np.memmap(spool, np.uint8, mode="r", shape=(len(owner), stride))
        split = _split(plan, owner)
        _check_copies(plan, records, owner, split)
        counts = {name: int((split == number).sum()) for number, name in enumerate(SPLITS)}
        with DatasetWriter(place, plan.spec(counts)) as writer:
            for number, name in enumerate(SPLITS):
                members = np.flatnonzero(split == number)
                for at in range(0, len(members), _BLOCK):
                    clips = members[at : at + _BLOCK]
                    rows = np.arange(at, at + len(clips))
                    writer.write(name, rows, records[clips], plan.labels.values[owner[clips]])
            writer.add_file(CLIPS_FILE, _clips_csv(plan, owner, start, split))
    counted_splits = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    columns, rows_shown = plan.findings.table()
    if rows_shown:
        show(columns, rows_shown, title=f"{plan.name}: {len(set(owner.tolist())):,} files, {counted_splits} clips")
    return writer.spec


@contextmanager
def _spooled(directory: Path) -> Iterator[IO[bytes]]:
    """Open a file without a name in a directory; a full disk is a UserError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        spool = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UserError(f"{directory}: cannot be written ({error.strerror}); choose another directory") from error
    try:
        with spool:
            yield spool
    except OSError as error:  # also of closing, which writes what is left
        if error.errno not in _FULL:
            raise
        raise UserError(f"{directory}: the disk is full, and nothing was written; free some space") from error


def _read(plan: Plan, spool: IO[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Write a record of each clip to `spool`; return the number of its file and its first sample, (n,) int64 each."""
    owner, start = [], []
    clips = _all_clips(plan)
    while block := list(itertools.islice(clips, _BLOCK)):
        files, starts, sounds = zip(*block, strict=True)
        with torch.inference_mode():
            images, scale = plan.front_end(torch.from_numpy(np.stack(sounds)))
            levels = plan.front_end.to_bytes(images).numpy()
        codes = plan.labels.space.to_byte(plan.labels.values[list(files)])
        spool.write(pack_records(levels, codes, scale.numpy()).data)
        owner += files
        start += starts
    spool.flush()
    return np.array(owner, np.int64), np.array(start, np.int64)


def _all_clips(plan: Plan) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the number of its file, the first sample and the samples (T,) float32 of each clip that is not silent."""
    with counted(plan.name, "files", len(plan.labels.files)) as advance:
        for number, file in enumerate(plan.labels.files):
            is_silent = True
            try:
                for start, clip in _clips(plan, file):
                    if np.abs(clip).max() >= SILENCE:
                        is_silent = False
                        yield number, start, clip
            except UserError as error:
                if len(plan.findings.found["unreadable"]) < _LOGGED:
                    log.warning("left out: %s", error)
                plan.findings.add("unreadable", file)
                is_silent = False
            if is_silent:
                plan.findings.add("silent", file)
            advance(1)


def _clips(plan: Plan, file: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first sample and the samples of each clip of a file."""
    config, front_end, path = plan.config, plan.front_end, plan.folder / file
    rate, count = front_end.sample_rate, front_end.num_samples
    starts: Sequence[int] = [0]
    if config.segment is not None:
        segmentation = Segmentation(segment=config.segment, onsets=config.onsets, hop=None)
        _, starts = find_segments(path, rate, count, config.channel, segmentation, warn=False)
    with open_sound(path, config.channel) as sound:
        length = sound.frames / sound.samplerate
        if config.segment is None and round(length * rate) != count:
            plan.findings.add("long" if length > config.duration else "short", file)
        up, down = resampling_ratio(sound.samplerate, rate)
        needed = samples_before(starts[-1] + count, up, down)
        blocks = _watched(plan, file, mono_blocks(path, sound, config.channel, needed))
        resampled = resample_blocks(blocks, up, down)
        yield from zip(starts, cut_clips(resampled, starts, count), strict=True)


def _watched(plan: Plan, file: str, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for block in blocks:
        if is_clipped(block):
            plan.findings.add("clipped", file)
        yield block


def _split(plan: Plan, owner: np.ndarray) -> np.ndarray:
    """Return the split of each clip (n,) uint8, an index into SPLITS.

    Files of one group or of the same content are in one split. Groups in random order go to the split that has the
    smallest part of its share.
    """
    of_file = joined_groups(plan.labels.groups, plan.sha256)
    groups, sizes = np.unique(of_file[owner], return_counts=True)
    if len(groups) < len(SPLITS):
        raise UserError(
            f"{path_text(plan.folder)}: {len(groups)} groups of files have sounds; at least 3 are needed, one each for "
            "train, val and test"
        )
    val, test = plan.config.val_fraction, plan.config.test_fraction
    shares = len(owner) * np.array([1 - val - test, val, test])
    filled, of_group = np.zeros(len(SPLITS)), np.zeros(of_file.max() + 1, np.uint8)
    order = np.random.Generator(np.random.Philox(key=plan.config.split_seed)).permutation(len(groups))
    for at in order:
        chosen = int((filled / shares).argmin())
        of_group[groups[at]] = chosen
        filled[chosen] += sizes[at]
    return of_group[of_file[owner]]


def _check_copies(plan: Plan, records: np.ndarray, owner: np.ndarray, split: np.ndarray) -> None:
    """Add files of equal content and clips of almost equal images to the findings."""
    labels, findings = plan.labels, plan.findings
    first: dict[str, int] = {}
    source = np.array([first.setdefault(digest, number) for number, digest in enumerate(plan.sha256)])
    for number in np.flatnonzero(source != np.arange(len(source))):
        twin = source[number]
        differs = (labels.values[number] != labels.values[twin]).any()
        findings.add("contradicting" if differs else "copies", labels.files[number], labels.files[twin])
    channels, height, width = plan.front_end.image_shape
    magnitudes = records[:, records.shape[1] - channels * height * width :][:, : height * width]
    images = magnitudes.reshape(-1, height, width)
    same_labels = np.unique(labels.values, axis=0, return_inverse=True)[1].reshape(-1)
    in_train = split == SPLITS.index("train")
    for clip, other, leaks in find_near_copies(images, same_labels[owner], source[owner], in_train):
        findings.add("leaking" if leaks else "near_copies", labels.files[owner[clip]], labels.files[owner[other]])


def _clips_csv(plan: Plan, owner: np.ndarray, start: np.ndarray, split: np.ndarray) -> bytes:
    """Return a table of the clips in the order of their records: split, row, file, start in s, group."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("split", "row", "file", "start", "group"))
    for number, name in enumerate(SPLITS):
        for row, clip in enumerate(np.flatnonzero(split == number)):
            file = owner[clip]
            seconds = f"{start[clip] / plan.front_end.sample_rate:g}"
            names = csv_text(plan.labels.files[file]), csv_text(plan.labels.groups[file])
            writer.writerow((name, row, names[0], seconds, names[1]))
    return text.getvalue().encode()
