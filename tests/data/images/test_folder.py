"""A folder of images: its classes, its splits, its colours, and files that are no images."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from src.data.images.folder import read_folder
from src.utils.errors import UserError

RED, GREEN, GREY = (200, 0, 0), (0, 200, 0), (90, 90, 90)


def save(path, colour=RED, size=(32, 32), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)
    return path


def two_classes(root):
    save(root / "dog/b.png", GREEN)
    save(root / "cat/2.PNG", RED)
    save(root / "cat/1.jpeg", GREY, (64, 48))
    (root / "cat/notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    save(root / ".hidden/a.png")
    return root


def refused(root, *parts, **options):
    with pytest.raises(UserError) as error:
        read_folder(root, **options)
    text = str(error.value)
    assert all(str(part) in text for part in parts), text
    assert "\n" not in text and len(text) < 500


def test_subfolders_are_classes_in_alphabetical_order(tmp_path):
    found = read_folder(two_classes(tmp_path))
    assert found.classes.names == ("cat", "dog") and found.test is None
    assert found.train.classes.tolist() == [0, 0, 1] and found.train.images.shape == (3, 3, 32, 32)
    for image, colour in zip(found.train.images, (GREY, RED, GREEN), strict=True):
        assert np.abs(image.reshape(3, -1).T.astype(int) - colour).max() <= 2  # JPEG rounds


def test_images_are_resized_and_may_be_grey(tmp_path):
    images = read_folder(two_classes(tmp_path), (20, 10), True).train.images
    assert images.shape == (3, 1, 20, 10)
    red = round(0.299 * 200)  # ITU-R BT.601
    assert abs(int(images[1, 0, 5, 5]) - red) <= 1 and images[0, 0, 5, 5] == 90


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "LA"])
def test_every_kind_of_8_bit_image_is_read(tmp_path, mode):
    two_classes(tmp_path)
    save(tmp_path / "dog/b.png", (255, 255, 255), mode=mode)
    assert (read_folder(tmp_path).train.images[2] == 255).all()


def test_train_and_test_are_splits(tmp_path):
    two_classes(tmp_path / "train")
    save(tmp_path / "test/dog/x.png", GREEN)
    found = read_folder(tmp_path)
    assert len(found.train.classes) == 3 and found.test.classes.tolist() == [1]
    save(tmp_path / "test/emu/x.png")
    refused(tmp_path, tmp_path, "the class emu is in test, but not in train")


def test_an_empty_test_split_is_told(tmp_path):
    two_classes(tmp_path / "train")
    (tmp_path / "test").mkdir()
    refused(tmp_path, tmp_path / "test", "holds no subfolders with PNG or JPEG files")


def test_a_folder_without_classes_is_told(tmp_path):
    refused(tmp_path / "none", "is no folder; give data.root=FOLDER")
    save(tmp_path / "cat/1.png")
    refused(tmp_path, tmp_path, "1 subfolders with PNG or JPEG files found; give one for each class")


@pytest.mark.parametrize(
    ("size", "cause"), [((0, 5), "[0, 5] given"), ((2000, 2000), "2000 x 2000 pixels and 3 channels")]
)
def test_a_size_without_sense_is_told(tmp_path, size, cause):
    refused(two_classes(tmp_path), "data.reader.size: ", cause, size=size)


def test_more_images_than_memory_is_told_before_one_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("src.data.images.folder.MOST_BYTES", 9000)
    refused(two_classes(tmp_path), "data.reader.size: 3 images of (3, 32, 32) need more than 1 GiB")


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    (two_classes(tmp_path) / "cat/2.PNG").write_bytes(content)
    refused(tmp_path, tmp_path / "cat/2.PNG", "not read as a PNG or JPEG image of 8 bits")


def test_16_bits_and_huge_images_are_told(tmp_path):
    path = two_classes(tmp_path) / "cat/2.PNG"
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    refused(tmp_path, path, "16 bits a pixel")
    Image.new("1", (10_000, 8_000)).save(path)
    refused(tmp_path, path, "10000 x 8000 pixels, more than 67108864")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_any_damage_to_an_image_is_one_line_or_another_image(tmp_path, suffix):
    save(tmp_path / "dog/b.png", GREEN)
    path = tmp_path / f"cat/1.{suffix}"
    path.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(path)
    plain = path.read_bytes()
    edits = st.lists(st.tuples(st.integers(0, len(plain) - 1), st.integers(0, 255)), min_size=1, max_size=4)

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(edits, st.integers(0, 2 * len(plain)))
    def try_one(edits, length):
        damaged = bytearray(plain)
        for at, value in edits:
            damaged[at] = value
        path.write_bytes(damaged[:length])
        try:
            assert read_folder(tmp_path).train.images.shape == (2, 3, 32, 32)
        except UserError as error:
            assert len(str(error).splitlines()) == 1 and re.search(re.escape(str(path)), str(error))

    try_one()
