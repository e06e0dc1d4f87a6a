"""Batches: one gather equals its samples one by one; labels exact or quantised; shapes never mix."""

import numpy as np
import pytest
import torch

from src.data.dataset import images_to_float
from src.data.info import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from tests.data.references import edit_info, record, snapshot, write_ancestor


@pytest.mark.parametrize("labels", ["exact", "quantised"])
@pytest.mark.parametrize("indices", [None, np.array([9, 3, 100, 4])], ids=["all", "some"])
def test_a_batch_equals_its_items(tiny, labels, indices):
    dataset = VIMHDataset(tiny, "train", labels, indices)
    rows = [*list(range(len(dataset)))[::-1][:20], 0, 0]
    batch = dataset.__getitems__(rows)
    for at, row in enumerate(rows):
        one = dataset[row]
        assert one.keys() == batch.keys() == {"image", "target", "scale"}
        for key, value in one.items():
            torch.testing.assert_close(batch[key][at], value, rtol=0, atol=0)
    assert batch["image"].dtype == torch.uint8 and batch["image"].shape == (len(rows), 1, 8, 6)
    assert batch["target"].dtype == batch["scale"].dtype == torch.float32
    assert batch["target"].shape == batch["scale"].shape == (len(rows), 2)
    assert all(value.is_contiguous() for value in batch.values())


def test_items_count_from_either_end_and_stop(tiny):
    dataset = VIMHDataset(tiny, "val")
    assert len(dataset) == 15
    torch.testing.assert_close(dataset[-1], dataset[14])
    for index in (15, -16):
        with pytest.raises(IndexError):
            dataset[index]
    assert sum(1 for _ in dataset) == 15


def test_exact_labels_are_the_physical_values_normalised(tiny):
    values = np.load(tiny / "train_params.npy").astype(np.float64)
    expected = np.stack([(values[:, 0] - 64) / 63, np.log(values[:, 1] / 200) / np.log(10)], axis=1)
    dataset = VIMHDataset(tiny, "train")
    np.testing.assert_allclose(dataset.__getitems__(range(120))["target"], expected, atol=1e-7)
    np.testing.assert_allclose(dataset.targets(), expected, atol=1e-7)


def test_quantised_labels_are_the_bytes_over_255(tiny):
    codes = np.frombuffer((tiny / "train").read_bytes(), np.uint8).reshape(120, -1)[:, [16, 18]]
    dataset = VIMHDataset(tiny, "train", "quantised")
    np.testing.assert_allclose(dataset.__getitems__(range(120))["target"], codes / 255, atol=1e-7)
    np.testing.assert_allclose(dataset.targets(), codes / 255, atol=1e-7)
    exact = VIMHDataset(tiny, "train").targets()
    assert 0 < np.abs(dataset.targets() - exact).max() <= 0.5 / 255 + 1e-6


def test_an_ancestors_labels_are_quantised_whatever_is_asked(tmp_path):
    _, codes = write_ancestor(tmp_path / "d", ids=(1, 0))["train"]
    for labels in ("exact", "quantised"):
        np.testing.assert_allclose(VIMHDataset(tmp_path / "d", "train", labels).targets(), codes / 255, atol=1e-7)


def test_opening_and_iterating_never_write(tiny, copy_of):
    directory = copy_of(tiny)
    before = snapshot(directory)
    for split in ("train", "val", "test"):
        list(VIMHDataset(directory, split, verify=True))
    assert snapshot(directory) == before


def test_a_batch_is_the_readers_own_and_may_be_written_to(tiny):
    """The map is read-only; a batch is a copy, so a transform in place harms nobody."""
    dataset = VIMHDataset(tiny, "train")
    first = dataset[0]["image"].clone()
    dataset.__getitems__([0])["image"].fill_(7)
    torch.testing.assert_close(dataset[0]["image"], first)


@pytest.fixture
def shapes(tmp_path):
    """A train split of 30 records of three shapes, numbered by label a."""
    write_ancestor(tmp_path / "d")
    cycle = [(1, 3, 4), (1, 2, 9), (1, 5, 5)]
    rows = [record(np.full(cycle[n % 3], n), [(0, n), (1, 0)]) for n in range(30)]
    (tmp_path / "d/train").write_bytes(b"".join(rows))
    edit_info(tmp_path / "d", train_samples=30)
    return VIMHDataset(tmp_path / "d", "train")


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_by_shape_cover_every_record_once(shapes, seed):
    batches = list(shapes.batches_by_shape(4, seed))
    assert sorted(index for batch in batches for index in batch) == list(range(30))
    assert sorted(map(len, batches)) == [2] * 3 + [4] * 6
    for batch in batches:
        got = shapes.__getitems__(batch)
        assert len({index % 3 for index in batch}) == 1
        np.testing.assert_allclose(got["target"][:, 0] * 255, batch, rtol=1e-6)
        assert (got["image"].flatten(1) == torch.tensor(batch)[:, None]).all()
    np.testing.assert_allclose(shapes.targets()[:, 0] * 255, np.arange(30), rtol=1e-6)


def test_batches_by_shape_are_a_function_of_the_seed(shapes):
    orders = [[batch.tolist() for batch in shapes.batches_by_shape(4, seed)] for seed in (0, 0, 1, None, None)]
    assert orders[0] == orders[1] != orders[2] and orders[3] == orders[4] != orders[0]


def test_shapes_of_a_part_of_the_records(shapes, tmp_path):
    part = VIMHDataset(tmp_path / "d", "train", indices=np.arange(0, 30, 2))
    batches = list(part.batches_by_shape(4, 0))
    assert sorted(index for batch in batches for index in batch) == list(range(15))
    for batch in batches:
        np.testing.assert_allclose(part.__getitems__(batch)["target"][:, 0] * 255, np.array(batch) * 2, rtol=1e-6)


def test_images_to_float(tiny):
    images = VIMHDataset(tiny, "val").__getitems__(range(15))["image"]
    floats = images_to_float(images)
    np.testing.assert_allclose(floats, images.numpy() / 255, atol=1e-7)
    assert images_to_float(floats) is floats


def test_a_spec_that_was_read_already_is_not_read_again(tiny, copy_of):
    directory = copy_of(tiny)
    spec = read_spec(directory)
    (directory / "vimh_dataset_info.json").unlink()
    assert len(VIMHDataset(directory, "val", spec=spec)) == 15
    with pytest.raises(UserError, match="holds no vimh_dataset_info"):
        VIMHDataset(directory, "val")
