"""Which samples a process takes, against torch's own samplers and against one process that takes all."""

import tracemalloc

import numpy as np
import pytest
from torch.utils.data import BatchSampler

from src.data.batches import Batches
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from tests.data.references import record, write_ancestor


@pytest.fixture
def train(tiny):
    return VIMHDataset(tiny, "train")  # 120 sounds


@pytest.fixture
def shapes(tmp_path):
    """100 records of three shapes: 34, 33 and 33."""
    write_ancestor(tmp_path / "old", {"train": 100, "test": 20})
    cycle = [(1, 3, 4), (1, 2, 9), (1, 5, 5)]
    rows = [record(np.full(cycle[n % 3], n), [(0, n), (1, 0)]) for n in range(100)]
    (tmp_path / "old/train").write_bytes(b"".join(rows))
    return VIMHDataset(tmp_path / "old", "train")


def dealt(dataset, size, world_size, epoch=0, **options):
    """Return the batches of every process."""
    found = []
    for rank in range(world_size):
        batches = Batches(dataset, size, rank=rank, world_size=world_size, **options)
        batches.set_epoch(epoch)
        found.append([batch.tolist() for batch in batches])
        assert len(batches) == len(found[-1])
    return found


@pytest.mark.parametrize("size", [7, 40, 120, 500])
def test_a_single_process_takes_the_batches_of_torchs_sampler(train, size):
    expected = list(BatchSampler(range(120), size, drop_last=size <= 120))
    assert dealt(train, size, 1, training=True) == [expected]


@pytest.mark.parametrize("size", [7, 40, 120, 500])
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_shuffled_epoch_is_numpys_permutation_by_seed_and_epoch(train, size, epoch):
    order = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(epoch,))).permutation(120).tolist()
    expected = list(BatchSampler(order, size, drop_last=size <= 120))
    assert dealt(train, size, 1, epoch, training=True, shuffle=True, seed=5) == [expected]


def test_no_epoch_of_a_seed_is_an_epoch_of_another(train):
    """Adding seed and epoch, as torch's samplers do, would make seed 1, epoch 0 of seed 0, epoch 1."""
    seeds, epochs = (0, 1, 2, 2**32, 2**32 + 1), (0, 1, 2)
    orders = {
        tuple(dealt(train, 120, 1, epoch, training=True, shuffle=True, seed=seed)[0][0])
        for seed in seeds
        for epoch in epochs
    }
    assert len(orders) == len(seeds) * len(epochs)
    again = dealt(train, 120, 1, 2, training=True, shuffle=True, seed=2**32)[0][0]
    assert tuple(again) in orders  # a function of both


def test_the_order_of_ten_million_samples_takes_little_memory():
    """One array of indices: no list of Python's integers, which would take 383 MB."""

    class Large:
        ragged = False

        def __len__(self):
            return 10_000_000

    batches = Batches(Large(), 128, training=True, shuffle=True)
    tracemalloc.start()
    served = sum(len(batch) for batch in batches)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert served == 10_000_000 and peak < 100e6


@pytest.mark.parametrize(("size", "world_size"), [(8, 2), (5, 3), (13, 4), (60, 2), (40, 3)])
def test_each_step_of_several_processes_is_one_step_of_a_single_one(train, size, world_size):
    (whole,) = dealt(train, size * world_size, 1, training=True, shuffle=True)
    parts = dealt(train, size, world_size, training=True, shuffle=True)
    assert {len(batch) for part in parts for batch in part} == {size}
    assert [sorted(one for part in step for one in part) for step in zip(*parts, strict=True)] == [
        sorted(batch) for batch in whole
    ]


def test_what_cannot_be_shared_equally_is_left_out_of_training(train):
    parts = dealt(train, 500, 7, training=True, shuffle=True)
    assert [len(batch) for part in parts for batch in part] == [17] * 7  # of 120
    assert len({one for part in parts for batch in part for one in batch}) == 119


@pytest.mark.parametrize(("size", "world_size"), [(4, 1), (4, 2), (16, 2), (512, 2), (7, 4), (1, 9)])
def test_elsewhere_every_sample_is_served_once_in_as_many_batches_by_each(tiny, size, world_size):
    parts = dealt(VIMHDataset(tiny, "val"), size, world_size)  # 15 sounds
    assert sorted(one for part in parts for batch in part for one in batch) == list(range(15))
    assert len({len(part) for part in parts}) == 1


@pytest.mark.parametrize("training", [True, False])
def test_batches_of_one_shape_are_shared_too(shapes, training):
    parts = dealt(shapes, 5, 2, training=training, shuffle=training)
    steps = list(zip(*parts, strict=True))
    assert all(len({one % 3 for part in step for one in part}) == 1 for step in steps)
    served = [one for part in parts for batch in part for one in batch]
    assert len(served) == len(set(served)) and len(served) >= (97 if training else 100)
    if training:
        assert all(len(first) == len(second) for first, second in steps)


@pytest.mark.parametrize("kind", ["one shape", "three shapes"])
def test_an_empty_share_is_an_empty_batch(train, shapes, kind):
    dataset = train if kind == "one shape" else shapes
    whole, none = dataset.__getitems__([0]), dataset.__getitems__([])
    assert {name: (one.dtype, *one.shape[1:]) for name, one in none.items()} == {
        name: (one.dtype, *one.shape[1:]) for name, one in whole.items()
    }
    assert all(len(one) == 0 for one in none.values())


class FakeTrainer:
    global_rank, world_size, overfit_batches = 1, 200, 0


def test_fewer_records_than_processes_are_one_line(tiny):
    module = VIMHDataModule(tiny)
    module.trainer = FakeTrainer()
    with pytest.raises(UserError, match=r"tiny/train: 120 records are too few for 200 processes to share$"):
        module.train_dataloader()


def test_overfitting_takes_the_same_batches_every_epoch(tiny):
    module = VIMHDataModule(tiny, batch_size=8)
    module.trainer = FakeTrainer()
    module.trainer.world_size, module.trainer.global_rank, module.trainer.overfit_batches = 1, 0, 3
    batches = module.train_dataloader().batch_sampler
    first = [batch.tolist() for batch in batches]
    batches.set_epoch(1)
    assert [batch.tolist() for batch in batches] == first
