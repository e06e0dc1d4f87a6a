"""A batch is changed as its samples would be one by one; only training sees it; faults of a config are one line."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from src.data.augment.augmentation import TRANSFORMS, parse_augmentation
from src.data.augment.random import sample_keys, uniforms
from src.data.dataset import images_to_float
from src.data.images.digits import DigitsDataModule
from src.utils.errors import UserError

PICTURES = {
    "flip": {},
    "shift": {"pixels": 1},
    "rotate": {},
    "elastic": {},
    "grid_distortion": {},
    "colour_jitter": {},
    "gaussian_noise": {},
    "erase": {},
    "rand_augment": {"operations": {"rotate": {}, "erase": {}}},
}
SOUNDS = ("spec_augment", "time_shift", "frequency_shift", "gain", "tilt", "noise", "reverberation")


def batch_of(count=12, kind="image"):
    torch.manual_seed(0)
    batch = {"image": torch.rand(count, 1, 8, 8), "target": torch.rand(count, 2), "index": torch.arange(count) * 7}
    return batch | ({"scale": torch.tensor([[-80.0, 0.0]]).expand(count, 2)} if kind == "sound" else {})


def rows(batch, at):
    return {name: values[at] for name, values in batch.items()}


def test_each_transform_is_tried_here():
    assert {*PICTURES, *SOUNDS, "mixup", "cutmix", "token_mix"} == set(TRANSFORMS)


@pytest.mark.parametrize("name", [*PICTURES, *SOUNDS])
def test_a_sample_is_changed_alone_as_in_a_batch_and_otherwise_in_the_next_epoch(name):
    augmentation = parse_augmentation({name: PICTURES.get(name, {})}, seed=3)
    batch = batch_of(kind="sound" if name in SOUNDS else "image")
    kept = batch["image"].clone()
    found = augmentation(batch, 4)
    assert torch.equal(batch["image"], kept) and "index" in batch and "index" not in found
    assert found["image"].shape == kept.shape and 0 <= found["image"].min() <= found["image"].max() <= 1
    assert not torch.equal(found["image"], kept) and torch.equal(found["target"], batch["target"])
    for at in range(len(kept)):
        alone = augmentation(rows(batch, slice(at, at + 1)), 4)
        torch.testing.assert_close(alone["image"], found["image"][at : at + 1], atol=1e-6, rtol=1e-6)
    assert not torch.equal(augmentation(batch, 5)["image"], found["image"])


@pytest.mark.parametrize("name", ["mixup", "cutmix", "token_mix"])
def test_mixed_images_are_means_of_both_by_the_share_of_their_labels(name):
    augmentation = parse_augmentation({name: {"share": 0.5}}, seed=0)
    batch = batch_of(200)
    batch["image"][:100], batch["image"][100:] = 1.0, 0.0
    found = augmentation(batch, 0)
    torch.testing.assert_close(found["image"].mean((1, 2, 3)), found["share"])
    assert torch.equal(found["target"], batch["target"][:100])
    assert torch.equal(found["other_target"], batch["target"][100:])
    whole = (found["share"] == 1).float().mean()
    assert 0.35 < whole < 0.75 and torch.equal(augmentation.without(batch)["image"], batch["image"][:100])


def test_share_leaves_the_other_samples_as_they_are():
    batch = batch_of(400)
    found = parse_augmentation({"flip": {"share": 0.25}}, 0)(batch, 0)["image"]
    assert 0.18 < (found != batch["image"]).flatten(1).any(1).float().mean() < 0.32


class Trainer:
    training, current_epoch, overfit_batches, global_rank, world_size = True, 2, 0, 0, 1


def digits(augment, **more):
    data = DigitsDataModule(augment=augment, batch_size=16, **more)
    data.trainer = Trainer()
    return data


def served(data, loader):
    """Return the batches of a loader as a model gets them in epoch 2."""
    loader.batch_sampler.set_epoch(2)
    return [data.on_after_batch_transfer(batch, 0) for batch in loader]


@pytest.mark.parametrize("augment", [{"rotate": {}}, {"shift": {}, "cutmix": {}}], ids=["alone", "mixed"])
@pytest.mark.parametrize("more", [{"num_workers": 1}, {"device_cache": True}], ids=["workers", "cache"])
def test_workers_and_caches_change_no_batch(augment, more, monkeypatch):
    plain, other = digits(augment), digits(augment, **more)
    if "device_cache" in more:
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        monkeypatch.setattr(Trainer, "strategy", strategy, raising=False)
    for one, two in zip(*(served(data, data.train_dataloader()) for data in (plain, other)), strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("augment", [{"rotate": {}}, {"gaussian_noise": {}, "mixup": {}}], ids=["alone", "mixed"])
def test_several_processes_see_the_samples_of_one(augment, monkeypatch):
    data = digits(augment)
    together = served(data, data.train_dataloader())
    data.batch_size = 8
    monkeypatch.setattr(Trainer, "world_size", 2)
    shares = []
    for rank in (0, 1):
        monkeypatch.setattr(Trainer, "global_rank", rank)
        shares.append(served(data, data.train_dataloader()))
    for whole, first, second in zip(together, *shares, strict=True):
        for name, values in whole.items():
            torch.testing.assert_close(torch.stack([first[name], second[name]], 1).flatten(0, 1), values)


def test_validation_test_and_stages_without_training_get_what_the_files_hold(monkeypatch):
    data = digits({"gaussian_noise": {}, "mixup": {}})

    def poisoned(*_):
        raise AssertionError("augmented")

    data.augmentation = parse_augmentation({"gaussian_noise": {}, "mixup": {}}, 0)
    monkeypatch.setattr(type(data.augmentation), "__call__", poisoned)
    for training in (True, False):
        monkeypatch.setattr(Trainer, "training", training)
        for loader, split in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
            found = torch.cat([batch["image"] for batch in served(data, loader)])
            stored = data.dataset(split).__getitems__(np.arange(len(data.dataset(split))))["image"]
            assert torch.equal(found, images_to_float(stored))
    (first, *_) = served(data, data.train_dataloader())  # by a callback that looks at training samples
    assert set(first) == {"image", "target"} and len(first["image"]) == 16


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"rotat": {}}, "data.augment.rotat: no such transform. Did you mean 'rotate'?"),
        ({"rotate": {"degree": 3}}, "data.augment.rotate.degree: no such setting. Did you mean 'degrees'?"),
        ({"rotate": {"degrees": "many"}}, "data.augment.rotate.degrees: 'many' given; give a number"),
        ({"shift": {"pixels": 5000}}, "data.augment.shift.pixels: 5000 given; give at most 4,096"),
        ({"rotate": 3}, "data.augment.rotate: 3 given; give its settings, or {} for the defaults"),
        ({"noise": {"low": 30, "high": 20}}, "data.augment.noise: low 30 is above high 20"),
        ({"mixup": {}, "cutmix": {}}, "data.augment: mixup and cutmix given, but images are mixed once"),
        ({"rand_augment": {"operations": {"gain": {}}}}, "data.augment.rand_augment.operations.gain: rand_augment"),
        ({"rand_augment": {"operations": {"mixup": {}}}}, "data.augment.rand_augment.operations.mixup: rand_augment"),
        (
            {"rand_augment": {"operations": {"rotate": {"share": 0.1}}}},
            "data.augment.rand_augment.operations.rotate.share: rand_augment has one for all operations; leave",
        ),
        ({"rand_augment": {}}, "data.augment.rand_augment.operations: None given; give names and settings"),
        ("rotate", "data.augment: 'rotate' given; give names and settings"),
    ],
)
def test_a_fault_of_the_config_is_one_line(config, words):
    with pytest.raises(UserError) as error:
        parse_augmentation(config, 0)
    assert str(error.value).startswith(words) and "\n" not in str(error.value)


def test_nothing_and_what_is_set_to_null_is_no_augmentation():
    assert parse_augmentation(None, 0) is parse_augmentation({}, 0) is parse_augmentation({"rotate": None}, 0) is None


@pytest.mark.parametrize(
    ("name", "settings", "smaller"),
    [
        ("shift", {"pixels": 8}, {"pixels": 7}),
        ("time_shift", {"frames": 12}, {"frames": 11}),
        ("frequency_shift", {"rows": 8}, {"rows": 7}),
        ("spec_augment", {"frames": 12}, {"frames": 12, "frame_masks": 0}),
        ("spec_augment", {"rows": 8}, {"rows": 7}),
        ("erase", {"height": 8, "width": 12}, {"height": 8, "width": 11}),
        (
            "rand_augment",
            {"count": 1, "operations": {"shift": {"pixels": 8}}},
            {"count": 1, "operations": {"shift": {"pixels": 7}}},
        ),
    ],
)
def test_settings_that_can_empty_an_image_are_known(name, settings, smaller):
    shape, count = (1, 8, 12), 4000
    for given, expected in ((settings, True), (smaller, False)):
        (transform,) = parse_augmentation({name: given}, 0).transforms.values()
        drawn = uniforms(sample_keys(torch.arange(count), 0, 0, name), transform.draws(shape))
        changed = transform.change(torch.ones(count, *shape), drawn, None)
        assert transform.can_empty(shape) is bool((changed == 0).flatten(1).all(dim=1).any()) is expected
