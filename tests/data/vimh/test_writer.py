"""Writing: any order gives the hand-written bytes; any failure leaves nothing, and never harms what was there."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from src.data.info import INFO_FILE, read_spec
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.data.vimh.records import pack_records
from src.data.vimh.writer import DatasetWriter
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from src.utils.locks import alive
from tests import running
from tests.data.references import read_info, record

SPACE = ParameterSpace([ParameterSpec(name=name, min=0, max=255, step=1) for name in ("a", "b")])
COUNTS = {"train": 50, "val": 7, "test": 9}


def spec(counts=COUNTS, shape=(1, 3, 4), name="made"):
    return DatasetSpec(name, Inputs(shape), SPACE, counts=counts, metadata_bytes=14)


def samples(split, counts=COUNTS, shape=(1, 3, 4)):
    """Return images, codes, scale, values of a split: the same at each call."""
    generator = np.random.default_rng(len(split))
    count = counts[split]
    images = generator.integers(0, 256, (count, *shape), np.uint8)
    codes = generator.integers(0, 256, (count, 2), np.uint8)
    scale = np.sort(generator.uniform(-90, 0, (count, 2)).astype(np.float32), axis=1)
    return images, codes, scale, codes.astype(np.float32)


def fill(writer, order=slice(None), size=16):
    """Write all splits, in blocks of `size` rows of `order`."""
    for split, count in writer.spec.counts.items():
        content = samples(split, writer.spec.counts, writer.spec.image_shape)
        rows = np.arange(count)[order] if isinstance(order, slice) else order(count)
        for start in range(0, count, size):
            block = rows[start : start + size]
            images, codes, scale, values = (part[block] for part in content)
            writer.write(split, block, pack_records(images, codes, scale), values)


def make(directory, order=slice(None), **more):
    with DatasetWriter(directory, spec(name=directory.name), **more) as writer:
        fill(writer, order)
    return directory


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def by_hand(split):
    images, codes, scale, _ = samples(split)
    return b"".join(record(im, list(enumerate(c)), db) for im, c, db in zip(images, codes, scale, strict=True))


def shuffled(count):
    return np.random.default_rng(1).permutation(count)


@pytest.mark.parametrize(
    "order", [slice(None), slice(None, None, -1), shuffled], ids=["ordered", "backwards", "shuffled"]
)
def test_any_order_of_rows_gives_the_hand_written_bytes(tmp_path, order):
    made = make(tmp_path / "made", order)
    for split, count in COUNTS.items():
        assert (made / split).read_bytes() == by_hand(split)
        values = np.load(made / f"{split}_params.npy")
        assert values.dtype == np.float32 and values.flags.c_contiguous
        np.testing.assert_array_equal(values, samples(split)[3])
        assert len(values) == count
    assert names_in(tmp_path) == ["made"]


def test_the_json_holds_the_sha256_of_every_file(tmp_path):
    made = make(tmp_path / "made", pickle=True)
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.iterdir() if path.name != INFO_FILE
    }
    assert read_info(made)["sha256"] == sums and len(sums) == 9
    assert read_spec(made).sha256 == sums


def test_memory_is_a_blocks_not_the_files(tmp_path):
    """40 MB are written and checksummed in blocks of 64 rows; a few MB are ever held."""
    counts, shape = {"train": 10_000, "val": 64, "test": 64}, (1, 64, 64)
    images, codes, scale = np.zeros((64, *shape), "u1"), np.zeros((64, 2), "u1"), np.zeros((64, 2), "f4")
    block = pack_records(images, codes, scale), scale
    tracemalloc.start()
    with DatasetWriter(tmp_path / "made", spec(counts, shape)) as writer:
        for split, count in counts.items():
            for start in range(0, count, 64):
                rows = np.arange(start, min(start + 64, count))
                writer.write(split, rows, *(part[: len(rows)] for part in block))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "made/train").stat().st_size > 40e6
    assert peak < 4e6


def test_an_existing_directory_is_not_touched(tmp_path):
    made = make(tmp_path / "made")
    (made / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    with pytest.raises(UserError, match="made: already exists and was not changed; give overwrite=true"):
        make(made)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before and names_in(tmp_path) == ["made"]


@pytest.mark.parametrize("kind", ["directory", "link", "file"])
def test_overwrite_replaces_whatever_is_there(tmp_path, kind):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "old").write_text("old")
    made = tmp_path / "made"
    if kind == "directory":
        shutil.copytree(elsewhere, made)
    elif kind == "link":
        made.symlink_to(elsewhere)
    else:
        made.write_text("old")
    make(made, overwrite=True)
    assert (made / "train").read_bytes() == by_hand("train") and not (made / "old").exists()
    assert (elsewhere / "old").read_text() == "old"
    assert names_in(tmp_path) == ["elsewhere", "made"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("bug"), SystemExit(3), UserError("no")], ids=repr)
def test_an_interrupted_run_leaves_nothing_and_keeps_what_was_there(tmp_path, error, overwrite):
    made = tmp_path / "made"
    if overwrite:
        made.mkdir()
        (made / "old").write_text("old")
    with pytest.raises(type(error)), DatasetWriter(made, spec(), overwrite) as writer:
        fill(writer)
        raise error
    assert names_in(tmp_path) == (["made"] if overwrite else [])
    assert not overwrite or (made / "old").read_text() == "old"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "broken disk")], ids=repr)
@pytest.mark.parametrize("when", ["first rename", "second rename", "checksums", "header"])
def test_an_interrupted_finish_keeps_what_was_there(tmp_path, monkeypatch, error, when):
    made = make(tmp_path / "made")
    (made / "old").write_text("old")
    calls = []

    def fail(*arguments, **more):
        calls.append(arguments)
        if when == "second rename" and len(calls) == 1:
            return os.rename(*arguments)
        monkeypatch.undo()
        raise error

    target = {"checksums": "hashlib.file_digest", "header": "numpy.lib.format.write_array_header_1_0"}
    monkeypatch.setattr(target.get(when, "pathlib.Path.rename"), fail)
    with pytest.raises(type(error)):
        make(made, overwrite=True)
    assert (made / "old").read_text() == "old" and names_in(tmp_path) == ["made"]


def full_disk(monkeypatch, name):
    """Let files of one name be /dev/full, where every write fails as on a full disk."""
    original = Path.open

    def opened(path, mode="r", **more):
        return original(Path("/dev/full") if path.name == name and "w" in mode else path, mode, **more)

    monkeypatch.setattr(Path, "open", opened)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("name", ["train", "val_params.npy", "test_batch", INFO_FILE])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, name, overwrite):
    made = tmp_path / "made"
    if overwrite:
        make(made)
    full_disk(monkeypatch, name)
    with pytest.raises(
        UserError, match=r"made: the disk is full, and the incomplete dataset was removed; free some space$"
    ):
        make(made, overwrite=overwrite, pickle=True)
    assert names_in(tmp_path) == ["made"] * overwrite
    assert not overwrite or (made / "train").read_bytes() == by_hand("train")


def test_a_disk_that_could_not_hold_it_is_refused_first(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 66 * 31))  # the records, without the values
    with pytest.raises(UserError, match=r"GB are needed, .* GB are free; free some space"):
        make(tmp_path / "made")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("below", ["file/made", "file/deep/made"])
def test_a_place_that_cannot_be_written(tmp_path, below):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UserError, match="cannot be written") as error:
        make(tmp_path / below)
    assert "\n" not in str(error.value) and (tmp_path / "file").read_text() == "a file"


def left_behind(tmp_path, key, suffix=""):
    """Make what a killed run leaves: a partial directory, or what it was replacing, and a lock that nobody holds."""
    path = tmp_path / f".made.partial-{key}{suffix}"
    path.mkdir()
    (path / "train").write_text("half")
    (tmp_path / f".made.partial-{key}.lock").touch()
    return path


def test_what_a_killed_run_left_is_cleared_and_nothing_else(tmp_path):
    left_behind(tmp_path, "killed")
    (tmp_path / ".made.partial-early.lock").touch()
    living = left_behind(tmp_path, "living")
    nobody_knows = left_behind(tmp_path, "strange")
    (tmp_path / ".made.partial-strange.lock").unlink()
    with alive(tmp_path / ".made.partial-living.lock"):
        make(tmp_path / "made")
    assert names_in(tmp_path) == sorted([living.name, f"{living.name}.lock", nobody_knows.name, "made"])
    make(tmp_path / "made", overwrite=True)  # when it, and all that it has forked, have died
    assert names_in(tmp_path) == [nobody_knows.name, "made"]


def test_where_there_are_no_locks_remains_stay(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    left = left_behind(tmp_path, "anyone's")
    make(tmp_path / "made")
    assert names_in(tmp_path) == [left.name, f"{left.name}.lock", "made"]


def test_a_dataset_that_a_killed_run_was_replacing_comes_back(tmp_path):
    left_behind(tmp_path, "killed")
    left_behind(tmp_path, "killed", "-replaced")
    with pytest.raises(UserError, match="already exists and was not changed"):
        make(tmp_path / "made")
    assert names_in(tmp_path) == ["made"] and (tmp_path / "made/train").read_text() == "half"


def test_what_was_replaced_is_cleared_when_the_new_one_is_there(tmp_path):
    make(tmp_path / "made")
    left_behind(tmp_path, "killed", "-replaced")
    with pytest.raises(UserError, match="already exists and was not changed"):
        make(tmp_path / "made")
    assert names_in(tmp_path) == ["made"] and (tmp_path / "made/train").read_bytes() == by_hand("train")


def test_a_name_with_glob_characters_is_only_a_name(tmp_path):
    left_behind(tmp_path, "killed")
    make(tmp_path / "[m]ade")
    assert len(names_in(tmp_path)) == 3  # .made's remains are not its own


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_writers_of_one_name_give_one_whole_dataset(tmp_path, overwrite):
    """Of one process, as two containers may have the same host name and process id."""
    made = tmp_path / "made"
    first, second = (DatasetWriter(made, spec(), overwrite) for _ in range(2))
    with first:
        fill(first)
        if overwrite:
            with second:
                fill(second, shuffled)
        else:
            second.__enter__()
            fill(second, shuffled)
    if not overwrite:
        with pytest.raises(UserError, match="another run has created it in the meantime, and its files are kept"):
            second.__exit__(None, None, None)
    assert names_in(tmp_path) == ["made"]
    assert all((made / split).read_bytes() == by_hand(split) for split in COUNTS)


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_writer_killed_outright_leaves_nothing_under_the_name(tmp_path):
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom tests.data.vimh.test_writer import *\n"
        f"with DatasetWriter(Path({str(tmp_path / 'made')!r}), spec()) as writer:\n"
        "    fill(writer)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=running.ROOT).returncode == -signal.SIGKILL
    partial, lock = names_in(tmp_path)
    assert partial.startswith(".made.partial-") and lock == f"{partial}.lock"
    make(tmp_path / "made")
    assert names_in(tmp_path) == ["made"]
