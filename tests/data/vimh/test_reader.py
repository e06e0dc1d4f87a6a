"""Opening: hand-written files of every kind are read exactly, and damaged ones refused before training."""

import logging
import os
import socket
import struct

import numpy as np
import pytest

from src.data.info import read_spec
from src.data.vimh.reader import has_split, open_exact_values, open_split
from src.utils.errors import UserError
from tests.data.references import edit_info, read_info, record, snapshot, write_ancestor

SHAPE = (1, 3, 4)
STRIDE = 15 + 2 * 2 + 12  # of write_ancestor's records


def opened(directory, split="train", verify=False):
    return open_split(directory, split, read_spec(directory), verify)


def assert_holds(records, written):
    images, codes = written
    got = records.gather(np.arange(len(records)))
    np.testing.assert_array_equal(got[0], images)
    np.testing.assert_array_equal(got[1], codes)
    np.testing.assert_array_equal(records.codes(np.arange(len(records))), codes)


def refused(directory, *parts, split="train"):
    with pytest.raises(UserError) as error:
        opened(directory, split)
    text = str(error.value)
    assert all(str(part) in text for part in parts), text
    assert "\n" not in text and "make the dataset again" in text


@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 5, 2), (1, 1, 1)])
@pytest.mark.parametrize("ids", [(0, 1), (1, 0)], ids=["in order", "permuted ids"])
@pytest.mark.parametrize("scale", [(-60.0, 0.0), None], ids=["2.1", "2.0"])
def test_hand_written_files(tmp_path, caplog, shape, ids, scale):
    encoding = {"metadata_bytes": 6 if scale is None else 14}
    written = write_ancestor(tmp_path / "d", shape=shape, ids=ids, scale=scale, label_encoding=encoding)
    for split, content in written.items():
        records = opened(tmp_path / "d", split)
        assert_holds(records, content)
        expected = np.tile(np.float32(scale or (0, 0)), (len(records), 1))
        np.testing.assert_array_equal(records.gather(np.arange(len(records)))[2], expected)
    assert not caplog.records


@pytest.mark.parametrize(
    ("scale", "encoding", "warning"),
    [
        (None, {"metadata_bytes": 3}, None),  # 3 means 6
        (None, {"metadata_bytes": 14}, "says metadata_bytes 14, the file has 6"),
        (None, {}, "lacks metadata_bytes, the file has 6"),
        ((-60.0, 0.0), {"metadata_bytes": 6}, "says metadata_bytes 6, the file has 14"),
        ((-60.0, 0.0), {"metadata_bytes": "many"}, "lacks metadata_bytes, the file has 14"),
        ((-60.0, 0.0), {}, "lacks metadata_bytes, the file has 14"),
    ],
)
def test_the_file_decides_where_the_json_is_silent_or_wrong(tmp_path, caplog, scale, encoding, warning):
    written = write_ancestor(tmp_path / "d", scale=scale, label_encoding=encoding)
    assert_holds(opened(tmp_path / "d"), written["train"])
    said = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]
    assert said == ([] if warning is None else [f"{tmp_path / 'd/train'}: the JSON {warning}"])


def test_our_own_files_are_the_hand_written_ones(tiny):
    """Every record of a generated split, packed again field by field from what gather returns."""
    records = opened(tiny)
    images, codes, scale = records.gather(np.arange(len(records)))
    rows = [record(im, list(enumerate(code)), db) for im, code, db in zip(images, codes, scale, strict=True)]
    assert (tiny / "train").read_bytes() == b"".join(rows)


def test_records_are_a_memory_map(tiny, copy_of):
    directory = copy_of(tiny)
    records = opened(directory)
    assert isinstance(records.data, np.memmap) and records.data.mode == "r"
    before = records.gather(np.array([3]))[0].copy()
    with (directory / "train").open("r+b") as file:
        file.seek(4 * records.stride - 1)  # the last pixel of record 3
        file.write(bytes([before[0, 0, -1, -1] ^ 255]))
    after = records.gather(np.array([3]))[0]
    assert after[0, 0, -1, -1] == before[0, 0, -1, -1] ^ 255  # read when asked, not when opened
    values = open_exact_values(directory, "train", read_spec(directory), records)
    assert isinstance(values, np.memmap) and values.mode == "r"


def test_reading_never_writes_and_needs_no_permission_to(tiny, copy_of):
    directory = copy_of(tiny)
    for path in directory.iterdir():
        path.chmod(0o444)
    directory.chmod(0o555)
    before = snapshot(directory)
    for split in ("train", "val", "test"):
        records = opened(directory, split, verify=True)
        records.gather(np.arange(len(records)))
        open_exact_values(directory, split, read_spec(directory), records, verify=True)
    assert snapshot(directory) == before
    directory.chmod(0o755)


def write_of_shapes(directory, shapes, old=False, encoding=None):
    """Write a train split whose records have these (C, H, W), each filled with its own number."""
    write_ancestor(directory, label_encoding={"metadata_bytes": 6 if old else 14} if encoding is None else encoding)
    scale = None if old else (-60.0, 0.0)
    rows = [record(np.full(shape, n), [(0, n), (1, 9)], scale) for n, shape in enumerate(shapes)]
    (directory / "train").write_bytes(b"".join(rows))
    edit_info(directory, train_samples=len(shapes))
    return rows


@pytest.mark.parametrize("encoding", [None, {}], ids=["stated", "silent"])
@pytest.mark.parametrize("old", [False, True], ids=["2.1", "2.0"])
def test_records_of_differing_shape_are_indexed(tmp_path, old, encoding):
    shapes = [(1, 3, 4), (1, 2, 9), (1, 3, 4), (1, 300, 2)]
    write_of_shapes(tmp_path / "d", shapes, old, encoding)
    records = opened(tmp_path / "d")
    np.testing.assert_array_equal(records.shapes, shapes)
    for n, shape in enumerate(shapes):
        images, codes, _ = records.gather(np.array([n]))
        assert images.shape == (1, *shape) and (images == n).all() and codes.tolist() == [[n, 9]]


def test_differing_shapes_whose_sizes_agree_are_indexed_too(tmp_path):
    write_of_shapes(tmp_path / "d", [(1, 3, 4), (1, 4, 3), (1, 2, 6)])  # 12 pixels each: the stride divides
    assert opened(tmp_path / "d").shapes.tolist() == [[1, 3, 4], [1, 4, 3], [1, 2, 6]]


def test_a_chain_cut_short_is_refused(tmp_path):
    rows = write_of_shapes(tmp_path / "d", [(1, 3, 4), (1, 2, 9), (1, 3, 4)])
    (tmp_path / "d/train").write_bytes(b"".join(rows)[:-1])
    refused(tmp_path / "d", tmp_path / "d/train", "bytes and a remainder of")


def test_a_nan_in_the_chain_is_refused(tmp_path):
    write_of_shapes(tmp_path / "d", [(1, 3, 4), (1, 2, 9), (1, 3, 4)])
    poke(tmp_path / "d", 6, struct.pack("<f", float("nan")))
    refused(tmp_path / "d", tmp_path / "d/train")


def poke(directory, at, content, name="train"):
    with (directory / name).open("r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.mark.parametrize(
    ("at", "content", "parts"),
    [
        (0, b"\x04", ["record 7 has 4x4x1", "3x4x1"]),
        (2, b"\x05", ["record 7 has 3x5x1", "3x4x1"]),
        (4, b"\x02", ["record 7 has 3x4x2", "3x4x1"]),
        (1, b"\x80", ["record 7 has 32771x4x1"]),
        (6, struct.pack("<f", float("nan")), ["record 7", "dB range [nan, 0.0]"]),
        (10, struct.pack("<f", float("inf")), ["record 7", "dB range [-60.0, inf]"]),
        (6, struct.pack("<f", 1.0), ["record 7", "dB range [1.0, 0.0]"]),
        (14, b"\x03", ["record 7", "labels 3", "labels 2"]),
        (15, b"\x01", ["record 7", "ids [1, 1]", "ids [0, 1]"]),
        (17, b"\xff", ["record 7", "ids [0, 255]"]),
    ],
)
def test_a_damaged_header_names_file_record_found_and_expected(tmp_path, at, content, parts):
    write_ancestor(tmp_path / "d")
    poke(tmp_path / "d", 7 * STRIDE + at, content)
    refused(tmp_path / "d", tmp_path / "d/train", *parts)


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (0, ["0 bytes"]),
        (1, ["1 bytes are less than one record"]),
        (STRIDE - 1, ["0 records of 31 bytes and a remainder of 30"]),
        (20 * STRIDE - 5, ["19 records of 31 bytes and a remainder of 26"]),
        (20 * STRIDE + 3, ["20 records of 31 bytes and a remainder of 3"]),
        (19 * STRIDE, ["19 records, the JSON says 20"]),
    ],
)
def test_truncated_and_padded_files(tmp_path, size, parts):
    write_ancestor(tmp_path / "d")
    content = (tmp_path / "d/train").read_bytes()
    (tmp_path / "d/train").write_bytes((content + b"\0\0\0")[:size])
    refused(tmp_path / "d", tmp_path / "d/train", *parts)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"height": 4, "width": 3}, ["every image is 3x4x1, the JSON says 4x3x1"]),
        ({"height": 2}, ["every image is 3x4x1, the JSON says 2x4x1"]),
        ({"channels": 64}, ["bytes and a remainder of"]),
        ({"parameter_names": ["decay"]}, ["record 0 has 2 labels, 1 expected"]),
        ({"train_samples": 21}, ["20 records, the JSON says 21"]),
    ],
)
def test_a_json_that_contradicts_the_file(tmp_path, changes, parts):
    write_ancestor(tmp_path / "d")
    edit_info(tmp_path / "d", **changes)
    refused(tmp_path / "d", tmp_path / "d/train", *parts)


def test_ids_that_are_no_permutation(tmp_path):
    write_ancestor(tmp_path / "d", names=("a", "b", "c"))
    poke(tmp_path / "d", 17, b"\x00")
    refused(tmp_path / "d", "record 0 has label ids [0, 0, 2], 0..2 expected")


def test_foreign_files(tmp_path):
    write_ancestor(tmp_path / "d")
    for content in (b"\x89PNG\r\n\x1a\n" * 100, b"RIFF" + bytes(1000), b"\xff" * 4096, b"train\n" * 50):
        (tmp_path / "d/train").write_bytes(content)
        refused(tmp_path / "d", tmp_path / "d/train")


@pytest.mark.parametrize("name", ["train", "train_params.npy"])
@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder"])
def test_what_is_no_file_is_told_and_not_waited_for(tiny, copy_of, name, kind):
    directory = copy_of(tiny)
    path = directory / name
    path.unlink()
    (directory / "train_batch").unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    if name == "train":
        refused(directory, path, "no such file")
    else:
        values_refused(directory, "no such file")


@pytest.mark.parametrize("name", ["train", "train_batch", "train_params.npy"])
def test_a_pointer_of_git_lfs_is_named(tiny, copy_of, name):
    directory = copy_of(tiny)
    (directory / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    if name == "train_batch":
        (directory / "train").unlink()
    if name == "train_params.npy":
        values_refused(directory, "git lfs pull")
    else:
        with pytest.raises(UserError, match=rf"^{directory / name}: a Git LFS pointer, .*: git lfs pull$"):
            opened(directory, "train")


def test_a_missing_split(tmp_path):
    write_ancestor(tmp_path / "d")
    assert has_split(tmp_path / "d", "train") and not has_split(tmp_path / "d", "val")
    refused(tmp_path / "d", tmp_path / "d/val", "no such file", split="val")


def values_of(directory, split="train", verify=False):
    spec = read_spec(directory)
    return open_exact_values(directory, split, spec, open_split(directory, split, spec), verify)


def values_refused(directory, *parts):
    with pytest.raises(UserError) as error:
        values_of(directory)
    text = str(error.value)
    assert all(str(part) in text for part in (directory / "train_params.npy", *parts)), text
    assert "\n" not in text


def test_an_ancestor_has_no_exact_values(tmp_path):
    write_ancestor(tmp_path / "d")
    assert values_of(tmp_path / "d") is None


def test_exact_values_that_are_gone_are_not_taken_for_none(tiny, copy_of):
    directory = copy_of(tiny)
    (directory / "train_params.npy").unlink()
    values_refused(directory, "no such file, but the JSON names it")


def test_exact_values_are_what_the_codes_round(tiny):
    values = values_of(tiny)
    assert values.dtype == np.float32 and values.shape == (120, 2)
    velocity = 255 * (values[:, 0] - 64.0) / (127 - 64)
    cutoff = 255 * np.log(values[:, 1] / 200.0) / np.log(10)
    codes = opened(tiny).codes(np.arange(120))
    np.testing.assert_array_equal(np.floor(np.stack([velocity, cutoff], 1) + 0.5), codes)


def npy(array):
    import io

    np.save(file := io.BytesIO(), array)
    return file.getvalue()


GOOD = np.full((120, 2), 100, np.float32)
HEADER = b"\x93NUMPY\x01\x00"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + bytes(100),  # numpy takes it for a zip
        b"\x80\x04N.",  # and this for a pickle
        npy(GOOD)[:-4],
        npy(GOOD.astype(np.float64)),
        npy(GOOD.astype(">f4")),
        npy(GOOD[:119]),
        npy(GOOD.reshape(2, 120)),
        npy(np.array([[None] * 2] * 120)),
        HEADER + b"\x10\x00{'descr': '<f4',",  # numpy's tokenizer raises its own error
        HEADER + b"\x28\x23" + b"(" * 9000,
        HEADER + b"\x29\x23" + b"-" * 9000 + b"1",
        HEADER + b"\x10\x00{[]: 3}         ",
        npy(GOOD).replace(b"(120, 2)", b"(9" + b"9" * 20 + b", 2)"),
        npy(GOOD).replace(b"(120, 2)", b"(-12, 2)"),
    ],
    ids=range(15),
)
def test_damaged_exact_values_are_one_line(tiny, copy_of, content):
    directory = copy_of(tiny)
    (directory / "train_params.npy").write_bytes(content)
    values_refused(directory)


def test_exact_values_that_are_not_this_splits(tiny, copy_of):
    directory = copy_of(tiny)
    values = np.load(directory / "train_params.npy")
    for change, part in (
        (np.roll(values, 1, axis=0), "its record holds"),
        (values[:, ::-1], "row 0 has note_velocity"),
        (np.where(np.arange(120)[:, None] == 77, np.nan, values), "row 77 is not finite"),
        (np.where(np.arange(120)[:, None] == 77, values * 1.2, values), "row 77 has"),
    ):
        np.save(directory / "train_params.npy", change.astype(np.float32))
        values_refused(directory, part)


@pytest.mark.parametrize("steps, is_refused", [(-0.98, False), (0.98, False), (-1.2, True), (1.2, True)])
def test_exact_values_are_within_a_byte_step_of_their_record(tiny, copy_of, steps, is_refused):
    directory = copy_of(tiny)
    spec = read_spec(directory)
    codes = opened(directory).codes(np.arange(120)).astype(np.float64)
    codes[77] = np.where(codes[77] < 128, codes[77] + steps, codes[77] - steps)
    np.save(directory / "train_params.npy", spec.space.denormalize(codes / 255).astype(np.float32))
    if is_refused:
        values_refused(directory, "row 77 has")
    else:
        values_of(directory)


@pytest.mark.parametrize("name", ["train", "train_params.npy"])
def test_verify_finds_one_flipped_byte_that_no_header_shows(tiny, copy_of, name):
    directory = copy_of(tiny)
    content = bytearray((directory / name).read_bytes())
    content[-1 if name == "train" else -8] ^= 1  # a pixel; the last bit of a velocity
    (directory / name).write_bytes(content)
    opened(directory)
    values_of(directory)
    with pytest.raises(UserError, match=f"{name}: sha256 .* found, .* expected"):
        opened(directory, verify=True)
        values_of(directory, verify=True)


def test_verify_warns_where_there_is_no_checksum(tmp_path, caplog):
    write_ancestor(tmp_path / "d")
    opened(tmp_path / "d", verify=True)
    assert "holds no checksum" in caplog.text


def test_verify_of_a_pickle_twin_checks_the_twin(tiny, copy_of):
    directory = copy_of(tiny)
    (directory / "train").unlink()
    assert len(opened(directory, verify=True)) == 120
    sums = read_info(directory)["sha256"]
    edit_info(directory, sha256={**sums, "train_batch": sums["train"]})
    with pytest.raises(UserError, match="train_batch: sha256"):
        opened(directory, verify=True)
