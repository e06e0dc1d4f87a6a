"""CIFAR-10 and CIFAR-100: both versions hold the same, coarse classes are those of the files, damage is one line."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import CIFAR100

from src.data.images.cifar import read_cifar
from src.utils.errors import UserError
from tests.data.images.files import (
    COARSE_OF_FINE,
    python2_pickle,
    write_cifar10,
    write_cifar100,
)


def refused(root, *parts):
    with pytest.raises(UserError) as error:
        read_cifar(root)
    text = str(error.value)
    assert all(str(part) in text for part in (root, *parts)), text
    assert "\n" not in text and len(text) < 500
    return text


def test_the_test_files_are_pickles_of_python_2(tmp_path):
    pixels, fine, coarse = write_cifar100(tmp_path)["train"]
    content = pickle.loads((tmp_path / "train").read_bytes(), encoding="latin1")
    np.testing.assert_array_equal(content["data"], pixels)
    assert content["fine_labels"] == fine.tolist() and content["coarse_labels"] == coarse.tolist()


@pytest.mark.parametrize("binary", [False, True])
def test_cifar10_has_five_files_of_training_images(tmp_path, binary):
    written = write_cifar10(tmp_path, binary)
    found = read_cifar(tmp_path)
    *train, test = written.values()
    np.testing.assert_array_equal(found.train.images.reshape(-1, 3072), np.concatenate([one for one, _ in train]))
    np.testing.assert_array_equal(found.train.classes, np.concatenate([classes for _, classes in train]))
    np.testing.assert_array_equal(found.test.images.reshape(-1, 3072), test[0])
    np.testing.assert_array_equal(found.test.classes, test[1])
    assert found.train.images.shape == (100, 3, 32, 32)
    assert found.classes.names == ("airplane", "automobile", "bird") and found.classes.coarse is None


@pytest.mark.parametrize("binary", [False, True])
def test_the_coarse_class_of_each_fine_class_is_that_of_the_files(tmp_path, binary):
    written = write_cifar100(tmp_path, binary)
    found = read_cifar(tmp_path)
    assert found.classes.coarse == COARSE_OF_FINE and found.classes.coarse_names[3] == "household"
    for split, (pixels, fine, coarse) in ((found.train, written["train"]), (found.test, written["test"])):
        np.testing.assert_array_equal(split.images.reshape(-1, 3072), pixels)
        np.testing.assert_array_equal(split.classes, fine)
        np.testing.assert_array_equal(np.array(found.classes.coarse)[split.classes], coarse)


class Generated(CIFAR100):
    """torchvision's reader, without its checks that the files are the published ones."""

    base_folder = ""
    train_list, test_list = [["train", None]], [["test", None]]
    meta = CIFAR100.meta | {"md5": None}


@pytest.mark.parametrize("binary", [False, True])
def test_torchvision_reads_the_same(tmp_path, binary):
    write_cifar100(tmp_path / "pickles")
    write_cifar100(tmp_path / "binary", binary=True)
    found = read_cifar(tmp_path / ("binary" if binary else "pickles"))
    for split, train in ((found.train, True), (found.test, False)):
        expected = Generated(tmp_path / "pickles", train=train)
        np.testing.assert_array_equal(split.images.transpose(0, 2, 3, 1), expected.data)
        np.testing.assert_array_equal(split.classes, expected.targets)
    assert list(found.classes.names) == expected.classes


def test_coarse_classes_that_disagree_are_refused(tmp_path):
    pixels, fine, coarse = write_cifar100(tmp_path)["test"]
    wrong = coarse.copy()
    wrong[4] = 0
    batch = {"data": pixels, "fine_labels": fine.tolist(), "coarse_labels": wrong.tolist()}
    (tmp_path / "test").write_bytes(python2_pickle(batch))
    refused(tmp_path, "images of bus have the coarse classes aquatic_mammals and vehicles_1")


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path):
    refused(
        tmp_path, "holds none of batches.meta, meta, batches.meta.txt, fine_label_names.txt; give another data.root"
    )
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_3").unlink()
    refused(tmp_path, f"{tmp_path / 'data_batch_3'}: does not exist")


PIXELS, LABELS = np.zeros((3, 3072), np.uint8), [0, 1, 2]


@pytest.mark.parametrize(
    ("batch", "cause"),
    [
        ({"labels": LABELS}, "no key data"),
        ({"data": PIXELS}, "no key labels"),
        ({"data": PIXELS[:, :-1].copy(), "labels": LABELS}, r"data \(3, 3071\) found, \(n, 3072\) expected"),
        ({"data": PIXELS, "labels": [0, 1]}, r"labels \(2,\) found, \(3,\) expected"),
        ({"data": PIXELS, "labels": [0, 1, 3]}, "a label 3 found, but only 3 names"),
        ({"data": PIXELS, "labels": "abc"}, "labels is not an array of numbers"),
        ({"data": "x" * 3072, "labels": LABELS}, "data is not an array of numbers"),
        ([1, 2], "a list found, a dict expected"),
    ],
    ids=range(8),
)
def test_a_batch_with_other_contents_is_refused(tmp_path, batch, cause):
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_2").write_bytes(python2_pickle(batch))
    assert re.search(cause, refused(tmp_path, "data_batch_2", "unpack the archive again"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    write_cifar10(tmp_path)
    marker = tmp_path / "executed"
    command = f"touch {marker}".encode()
    (tmp_path / "test_batch").write_bytes(b"\x80\x02cposix\nsystem\nU" + bytes([len(command)]) + command + b"\x85R.")
    refused(tmp_path, "not a plain pickle", "posix.system")
    assert not marker.exists()


def test_a_string_that_many_arrays_share_is_refused_before_it_fills_the_memory(tmp_path, one_gigabyte):
    array = python2_pickle(np.zeros((1000, 1000), np.uint8))[2:-1]
    text = b"T" + (10**6).to_bytes(4, "little") + bytes(10**6)
    shared = array.replace(text, b"h\x07")
    assert len(shared) < 200
    bomb = b"\x80\x02" + text + b"q\x07](" + shared * 5000 + b"e."
    write_cifar10(tmp_path)
    (tmp_path / "test_batch").write_bytes(bomb)
    refused(tmp_path, "test_batch", "more bytes than the file has")


@pytest.mark.parametrize(
    ("content", "cause"), [(b"", "0 bytes found"), (bytes(3072), "3072 bytes found, a multiple of 3074 expected")]
)
def test_a_binary_file_of_another_size_is_refused(tmp_path, content, cause):
    write_cifar100(tmp_path, binary=True)
    (tmp_path / "train.bin").write_bytes(content)
    refused(tmp_path, "train.bin", cause)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"apple\n" * 20_000])
def test_a_file_of_names_that_holds_none_is_refused(tmp_path, content):
    write_cifar100(tmp_path, binary=True)
    (tmp_path / "coarse_label_names.txt").write_bytes(content)
    refused(tmp_path, "coarse_label_names.txt: holds no names")


@pytest.mark.parametrize(
    ("write", "file"), [(write_cifar10, "data_batch_1"), (write_cifar100, "train"), (write_cifar100, "meta")]
)
def test_any_damage_to_a_pickle_is_one_line_or_still_a_set(tmp_path, write, file):
    write(tmp_path)
    damage_and_read(tmp_path, tmp_path / file)


@pytest.mark.parametrize("file", ["train.bin", "fine_label_names.txt"])
def test_any_damage_to_a_binary_file_is_one_line_or_still_a_set(tmp_path, file):
    write_cifar100(tmp_path, binary=True, num_train=6)
    damage_and_read(tmp_path, tmp_path / file)


def damage_and_read(root, path):
    plain = path.read_bytes()
    places = st.one_of(st.integers(0, min(len(plain), 400) - 1), st.integers(0, len(plain) - 1))
    edits = st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=3)

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(edits, st.integers(0, 2 * len(plain)))
    def try_one(edits, length):
        damaged = bytearray(plain)
        for at, value in edits:
            damaged[at] = value
        path.write_bytes(damaged[:length])
        try:
            found = read_cifar(root)
        except UserError as error:
            assert len(str(error).splitlines()) == 1 and str(root) in str(error)
            return
        if path.suffix == ".bin":
            records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3074)
            np.testing.assert_array_equal(found.train.images.reshape(-1, 3072), records[:, 2:])
            np.testing.assert_array_equal(found.train.classes, records[:, 1])
        for split in (found.train, found.test):
            assert split.images.dtype == np.uint8 and split.images.shape == (len(split.classes), 3, 32, 32)
            assert split.classes.max() < len(found.classes.names)

    try_one()
