"""IDX files: what is written is read, and a damaged file is one line that names it."""

import gzip
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import MNIST

from src.data.images.idx import read_array, read_idx
from src.utils.errors import UserError
from tests.data.images.files import idx_bytes, write_mnist

SMALL = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def refused(path, *parts):
    with pytest.raises(UserError) as error:
        read_array(path, 3)
    text = str(error.value)
    assert all(str(part) in text for part in (path, "get the file again", *parts)), text
    assert "\n" not in text and len(text) < 400


@pytest.mark.parametrize("compressed", [True, False])
def test_the_four_files_are_read(tmp_path, compressed):
    written = write_mnist(tmp_path, compressed=compressed)
    found = read_idx(tmp_path)
    assert found.classes.names == tuple("0123456789") and found.classes.coarse is None
    for split, (images, classes) in ((found.train, written["train"]), (found.test, written["t10k"])):
        np.testing.assert_array_equal(split.images[:, 0], images)
        np.testing.assert_array_equal(split.classes, classes)


def test_torchvision_reads_the_same(tmp_path):
    folder = tmp_path / "MNIST/raw"
    write_mnist(folder, compressed=False)
    found = read_idx(folder)
    for split, train in ((found.train, True), (found.test, False)):
        expected = MNIST(tmp_path, train=train)
        np.testing.assert_array_equal(split.images[:, 0], expected.data)
        np.testing.assert_array_equal(split.classes, expected.targets)


def test_names_are_those_given(tmp_path):
    write_mnist(tmp_path)
    assert read_idx(tmp_path, tuple("abcdefghij")).classes.names == tuple("abcdefghij")
    with pytest.raises(UserError, match=r"a label 9 found, but data.reader.class_names has 3 names"):
        read_idx(tmp_path, ("a", "b", "c"))


def test_a_missing_file_is_named_with_the_folder(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}: holds no file t10k-labels-idx1-ubyte or t10k-")):
        read_idx(tmp_path)


def test_splits_that_do_not_fit_together_are_named(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(7))))
    with pytest.raises(UserError, match="7 labels found for 20 images"):
        read_idx(tmp_path)
    write_mnist(tmp_path / "other", side=20)
    for name in ("images-idx3", "labels-idx1"):
        (tmp_path / "other" / f"t10k-{name}-ubyte.gz").rename(tmp_path / f"t10k-{name}-ubyte.gz")
    with pytest.raises(UserError, match=r"images of \(28, 28\) pixels in train, \(20, 20\) in t10k"):
        read_idx(tmp_path)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "begins with"),
        (idx_bytes(SMALL[0]), "00 00 08 02, 00 00 08 03 expected"),
        (b"\0\0\x0d" + idx_bytes(SMALL)[3:], "00 00 0d 03"),
        (idx_bytes(SMALL)[:9], "begins with"),
        (idx_bytes(SMALL)[:-1], "states 24 bytes"),
        (idx_bytes(SMALL) + b"x", "24 bytes, more found"),
        (idx_bytes(SMALL[:0]), "states 0 x 3 x 4 bytes"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "states 4294967295 x"),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("compressed", [True, False])
def test_a_damaged_file_is_one_line(tmp_path, content, cause, compressed):
    path = tmp_path / ("a.gz" if compressed else "a")
    path.write_bytes(gzip.compress(content) if compressed else content)
    refused(path, cause)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, one_gigabyte):
    path = tmp_path / "a.gz"
    header = struct.pack(">4B3I", 0, 0, 8, 3, 2**20, 2**10, 2**10)  # a terabyte
    path.write_bytes(gzip.compress(header + bytes(2**24)))
    refused(path, "states 1048576 x 1024 x 1024 bytes")
    path.write_bytes(gzip.compress(idx_bytes(SMALL)) + gzip.compress(bytes(2**20)) * 2**12)  # 4 GiB more than it states
    refused(path, "24 bytes, more found")


@pytest.mark.parametrize("content", [b"\x1f\x8b", b"hello", gzip.compress(idx_bytes(SMALL))[:-5]])
def test_a_damaged_gzip_file_is_one_line(tmp_path, content):
    (tmp_path / "a.gz").write_bytes(content)
    refused(tmp_path / "a.gz")


@pytest.mark.parametrize("compressed", [True, False])
def test_any_damage_is_one_line_or_the_bytes_of_the_file(tmp_path, compressed):
    plain = gzip.compress(idx_bytes(SMALL)) if compressed else idx_bytes(SMALL)
    path = tmp_path / ("a.gz" if compressed else "a")
    edits = st.lists(st.tuples(st.integers(0, len(plain) - 1), st.integers(0, 255)), min_size=1, max_size=4)

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(edits, st.integers(0, len(plain)))
    def try_one(edits, length):
        damaged = bytearray(plain)
        for at, value in edits:
            damaged[at] = value
        path.write_bytes(damaged[:length] if length % 3 == 0 else damaged)
        try:
            found = read_array(path, 3)
        except UserError as error:
            assert len(str(error).splitlines()) == 1 and str(path) in str(error)
            return
        assert found.tobytes() == (SMALL.tobytes() if compressed else path.read_bytes()[16:])  # gzip has a checksum

    try_one()
