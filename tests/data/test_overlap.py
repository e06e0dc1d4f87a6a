"""Sounds that are in train and in test are counted, whatever wrote the dataset."""

import logging

import numpy as np
import pytest

from src.data.overlap import MOST_COMPARED, count_shared
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset
from src.models.build import build_model
from src.models.preflight import preflight
from tests import running
from tests.data.references import ancestors_info, record, write_info


def shared(directory, labels="exact"):
    train, test = (VIMHDataset(directory, split, labels) for split in ("train", "test"))
    return count_shared(train, test, train.targets())


def by_hand(directory, train, test, shape=(1, 3, 4)):
    """Write an ancestor's dataset of one label: each record is (code, level of all its pixels)."""
    directory.mkdir()
    for split, records in (("train", train), ("test", test)):
        images = [(np.full(shape, level, np.uint8), code) for code, level in records]
        (directory / split).write_bytes(b"".join(record(image, [(0, code)]) for image, code in images))
    write_info(directory, ancestors_info(shape, ["wave"], {"train": len(train), "test": len(test)}))
    return directory


@pytest.mark.parametrize("labels", ["exact", "quantised"])
def test_splits_of_ours_share_nothing(tiny, labels):
    count, looked_at = shared(tiny, labels)
    assert (count, looked_at) == (0, 15)


def test_records_in_both_splits_are_counted(tmp_path):
    train = [(code % 8, 10 * (code % 8)) for code in range(40)]
    directory = by_hand(tmp_path / "a", train, [(0, 0), (3, 30), (3, 30), (200, 30), (3, 31)])
    assert shared(directory) == (3, 5)  # other labels, and another image of the same labels, are other records


def test_every_record_may_be_shared_and_train_may_be_a_part_of_the_file(tmp_path):
    records = [(code, code) for code in range(30)]
    directory = by_hand(tmp_path / "a", records, records)
    assert shared(directory) == (30, 30)
    half = VIMHDataset(directory, "train", indices=np.arange(0, 30, 2))
    assert count_shared(half, VIMHDataset(directory, "test"), half.targets()) == (15, 30)


def test_a_brute_force_count_agrees(tmp_path):
    generator = np.random.default_rng(0)
    train, test = ([tuple(row) for row in generator.integers(0, 6, (count, 2)).tolist()] for count in (8, 50))
    firsts = {}
    for code, level in train:
        firsts.setdefault(code, level)
    expected = sum(firsts.get(code) == level for code, level in test)
    assert shared(by_hand(tmp_path / "a", train, test)) == (expected, 50) and 0 < expected < 50


def test_of_many_test_records_some_are_looked_at(tmp_path):
    records = [(code % 256, code % 251) for code in range(MOST_COMPARED + 900)]
    count, looked_at = shared(by_hand(tmp_path / "a", records, records))
    assert looked_at == MOST_COMPARED and 0 < count <= looked_at


def test_records_of_several_shapes_are_compared(tmp_path):
    directory = by_hand(tmp_path / "a", [(code, code) for code in range(6)], [(2, 2), (3, 4)])
    for split, extra in (("train", (7, 7)), ("test", (7, 7))):
        wide = record(np.full((1, 3, 9), extra[1], np.uint8), [(0, extra[0])])
        with (directory / split).open("ab") as file:
            file.write(wide)
    write_info(directory, ancestors_info((1, 3, 4), ["wave"], {"train": 7, "test": 3}))
    assert shared(directory) == (2, 3)


def test_training_warns_with_the_count(tmp_path, caplog):
    records = [(code, 8 * code) for code in range(30)]
    directory = by_hand(tmp_path / "a", 3 * records, [*records[:4], (250, 9)], (1, 32, 32))
    data = VIMHDataModule(directory)
    with caplog.at_level(logging.WARNING):
        preflight(data, build_model(running.plain("train", "model"), data.spec))
    assert f"{directory}: 4 of 5 test records are also training records" in caplog.text
