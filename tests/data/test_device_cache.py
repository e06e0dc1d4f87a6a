"""A cached split serves what an uncached one does, and is refused where it would not fit or not help."""

import numpy as np
import pytest
import torch

from src.data import device_cache
from src.data.vimh_datamodule import VIMHDataModule
from src.utils.errors import UserError
from tests import running
from tests.data.references import record, write_ancestor
from tests.data.test_vimh_datamodule import served


@pytest.mark.parametrize("labels", ["exact", "quantised"])
def test_batches_and_their_order_are_the_same(tiny, labels, monkeypatch):
    monkeypatch.setattr(device_cache, "_CHUNK", 50)  # 120 sounds are copied in three parts
    plain, cached = (VIMHDataModule(tiny, batch_size=32, labels=labels, device_cache=cache) for cache in (False, True))
    for split in ("train", "val", "test"):
        loaders = [getattr(module, f"{split}_dataloader")() for module in (plain, cached)]
        for epoch in range(2):
            for one, other in zip(*(served(loader, epoch) for loader in loaders), strict=True):
                assert list(one) == list(other)
                for name, value in one.items():
                    assert value.dtype == other[name].dtype
                    np.testing.assert_array_equal(value, other[name])


def test_training_ends_with_the_same_weights(data_root, saw, tmp_path):
    def weights_of(cache):
        running.run("train", data_root, tmp_path / cache, "logger=none", f"data.device_cache={cache}")
        return torch.load(tmp_path / cache / "checkpoints/last.ckpt", weights_only=True)["state_dict"]

    plain, cached = weights_of("false"), weights_of("true")
    assert all(torch.equal(value, cached[name]) for name, value in plain.items())


@pytest.mark.parametrize(("setting", "value"), [("num_workers", 2), ("pin_memory", True)])
def test_what_only_serves_loading_is_refused_beside_it(tiny, setting, value):
    with pytest.raises(UserError, match=rf"^data.{setting}: {value} given, but data.device_cache=true"):
        VIMHDataModule(tiny, device_cache=True, **{setting: value})


def test_more_than_a_quarter_of_the_memory_is_refused(tiny, monkeypatch):
    """120 sounds of 48 pixels, two targets and a dB range: 7,680 bytes; 15 more: 960."""
    monkeypatch.setattr(device_cache, "_memory", lambda device: 4 * 8000)
    module = VIMHDataModule(tiny, device_cache=True)
    module.train_dataloader()
    with pytest.raises(
        UserError, match=r"^data.device_cache: the data needs 8.64e-06 GB, but at most a quarter of cpu's memory, "
    ):
        module.val_dataloader()  # both together are too many


def test_images_of_several_shapes_are_refused(tmp_path):
    write_ancestor(tmp_path / "old", {"train": 100, "test": 20})
    rows = [record(np.zeros((1, 2 + n % 2, 4)), [(0, n), (1, 0)]) for n in range(100)]
    (tmp_path / "old/train").write_bytes(b"".join(rows))
    with pytest.raises(UserError, match=r"^data.device_cache: true given, but the images differ in shape"):
        VIMHDataModule(tmp_path / "old", device_cache=True).train_dataloader()
