"""Sets of images: splits, heads, normalisation, checkpoints, and runs of all formats from training to the test."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from src import api
from src.data.augment.loading import NumberedDataset
from src.data.dataset import images_to_float
from src.data.images.datamodule import ImageDataModule
from src.data.reopen import reopened
from src.models.checkpoint_schema import require_settings
from src.utils.errors import UserError
from tests import running
from tests.data.images.files import COARSE_OF_FINE, write_cifar10, write_cifar100, write_mnist

SPLITS = ("train", "val", "test")


def mnist(root, **more):
    return ImageDataModule({"format": "idx"}, root, **more)


def samples(data, split):
    dataset = data.dataset(split)
    batch = dataset.__getitems__(range(len(dataset)))
    assert np.array_equal(batch["target"], dataset.targets())
    labels = np.rint(data.spec.space.denormalize(batch["target"].numpy())).astype(int)
    return batch["image"].numpy(), labels


def test_a_validation_split_is_taken_from_train_and_the_test_is_the_files(tmp_path):
    written = write_mnist(tmp_path)
    data = mnist(tmp_path, val_fraction=0.2)
    assert data.spec.counts == {"train": 48, "val": 12, "test": 20}
    images, labels = samples(data, "test")
    np.testing.assert_array_equal(images[:, 0], written["t10k"][0])
    np.testing.assert_array_equal(labels[:, 0], written["t10k"][1])
    parts = [samples(data, split) for split in ("train", "val")]
    found = sorted(
        (image.tobytes(), *label) for images, labels in parts for image, label in zip(images, labels, strict=True)
    )
    assert sorted(found) == sorted((image.tobytes(), label) for image, label in zip(*written["train"], strict=True))


def test_splits_are_the_same_for_every_seed(tmp_path):
    write_mnist(tmp_path)
    one, other = mnist(tmp_path, seed=1), mnist(tmp_path, seed=2)
    assert one.spec == other.spec
    assert not torch.equal(*(next(iter(data.train_dataloader()))["target"] for data in (one, other)))


def test_the_mean_and_deviation_of_each_channel_are_those_of_the_training_split(tmp_path):
    write_cifar10(tmp_path)
    data = ImageDataModule({"format": "cifar"}, tmp_path)
    images = samples(data, "train")[0] / 255.0
    np.testing.assert_allclose(data.spec.inputs.mean, images.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.spec.inputs.std, images.std(axis=(0, 2, 3)), rtol=1e-12)
    expected = hashlib.sha256(samples(data, "train")[0].tobytes()).hexdigest()
    assert data.spec.sha256["train"] == expected and len(set(data.spec.sha256.values())) == 3


def test_a_channel_without_contrast_can_be_normalised(tmp_path):
    write_mnist(tmp_path, compressed=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:16] + bytes(60 * 28 * 28))
    assert mnist(tmp_path).spec.inputs.std == (1 / 255,)


def test_fine_and_coarse_classes_are_two_heads(tmp_path):
    written = write_cifar100(tmp_path)
    data = ImageDataModule({"format": "cifar"}, tmp_path, labels={"class": "identity", "group": "coarse"})
    assert data.spec.space.names == ("class", "group")
    labels = samples(data, "test")[1]
    np.testing.assert_array_equal(labels, np.column_stack(written["test"][1:]))
    for split in SPLITS:
        labels = samples(data, split)[1]
        np.testing.assert_array_equal(labels[:, 1], np.array(COARSE_OF_FINE)[labels[:, 0]])


def test_synthetic_labels_are_told_once(tmp_path, caplog):
    write_mnist(tmp_path)
    data = mnist(tmp_path, labels={"digit": "identity", "parity": "parity", "value": "ordinal"})
    with caplog.at_level("INFO"):
        for split in SPLITS:
            samples(data, split)
    told = [message for message in caplog.messages if "synthetic" in message]
    assert told == ["synthetic labels, computed from the class and not from the image: parity, value"]


def test_only_training_images_are_shifted_and_mirrored(tmp_path):
    write_mnist(tmp_path)
    data = mnist(tmp_path, shift=2, flip=True)
    assert list(data.augmentation.transforms) == ["flip", "shift"]
    batch = NumberedDataset(data.dataset("train")).__getitems__(range(8))
    data.trainer = SimpleNamespace(training=True, current_epoch=0)
    changed = data.on_after_batch_transfer(dict(batch), 0)["image"]
    data.trainer.training = False
    same = data.on_after_batch_transfer(dict(batch), 0)["image"]
    assert torch.equal(same, images_to_float(batch["image"])) and not torch.equal(changed, same)


def test_shift_and_flip_are_short_for_transforms_that_may_have_more_settings(tmp_path):
    write_mnist(tmp_path)
    data = mnist(tmp_path, shift=2, flip=True, augment={"shift": {"pixels": 3, "share": 0.5}, "rotate": {}})
    assert list(data.augmentation.transforms) == ["flip", "shift", "rotate"]
    assert data.augmentation.transforms["shift"].pixels == 3


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"val_fraction": 0.5}, "data.val_fraction: 0.5 given; give a fraction above 0 and below 0.5"),
        ({"shift": -1}, "data.shift: -1 given"),
        ({"reader": {"format": "tiff"}}, "data.reader.format: 'tiff' given."),
        ({"reader": {}}, "data.reader.format: None given."),
        ({"reader": {"format": "idx", "size": 3}}, "data.reader.size: 3 given; "),
        ({"reader": {"format": "folder", "size": [3]}}, "data.reader.size"),
        ({"root": None}, "data.root: not given; give the folder"),
        ({"root": "none"}, "data.root: none does not exist; give the folder"),
        ({"labels": {"a": "identity", "b": "coarse"}}, "data.labels.b: the files hold no coarse classes"),
    ],
    ids=range(9),
)
def test_settings_that_cannot_be_used_are_one_line(tmp_path, given, cause):
    write_mnist(tmp_path)
    with pytest.raises(UserError) as error:
        _ = ImageDataModule(**({"reader": {"format": "idx"}, "root": tmp_path} | given)).spec
    assert str(error.value).startswith(cause) and "\n" not in str(error.value)


def test_a_set_that_is_too_small_is_told(tmp_path):
    write_mnist(tmp_path, num_train=1)
    with pytest.raises(UserError, match="1 images are too few to train on"):
        _ = mnist(tmp_path).spec


def test_settings_open_the_same_data_again(tmp_path):
    write_mnist(tmp_path / "mnist")
    names = [f"number {digit}" for digit in range(10)]
    reader = {"format": "idx", "class_names": names}
    labels = {"digit": "identity", "one": {"strategy": "one_vs_rest", "category": "number 1"}}
    data = ImageDataModule(reader, tmp_path / "mnist", labels=labels, val_fraction=0.3, eval_batch_size=7, seed=3)
    settings = json.loads(json.dumps(data.checkpoint_settings()))
    require_settings(settings)
    assert str(tmp_path) not in json.dumps(settings)
    for again in (reopened(settings, root=tmp_path), reopened(settings, data_dir=tmp_path / "mnist")):
        assert again.spec == data.spec and again.settings == data.settings
    with pytest.raises(UserError, match=r"^data.data_dir: not given, and .*/none/mnist does not exist; give the"):
        reopened(settings, root=tmp_path / "none")


def test_groups_of_a_hundred_classes_fit_into_a_checkpoint(tmp_path):
    groups = {f"group {group}": [f"class {5 * group + at}" for at in range(5)] for group in range(20)}
    data = mnist(tmp_path, labels={"class": "identity", "group": {"strategy": "coarse", "groups": groups}})
    require_settings(data.checkpoint_settings())


@pytest.mark.parametrize("change", [{"name": "../x"}, {"name": ""}, {"root": "/etc"}, {"reader": []}, {"labels": 3}])
def test_a_checkpoint_cannot_name_a_folder(tmp_path, change):
    settings = mnist(tmp_path).checkpoint_settings()
    require_settings(settings)
    with pytest.raises(UserError, match=rf"^data_settings.{next(iter(change))}"):
        require_settings(settings | change)


def accuracies(folder):
    results = json.loads((folder / "test_results.json").read_text())
    return results, {row["name"]: row["accuracy"] for row in results["categories"]}


@pytest.mark.long
def test_cifar100_is_trained_and_tested_again(data_root, tmp_path, capsys, caplog):
    root = tmp_path / "cifar100"
    write_cifar100(root, num_train=240, num_test=30)
    words = ("data=cifar100", f"data.root={root}", "trainer=cpu", "trainer.max_epochs=1")
    running.run("train", data_root, tmp_path / "run", *words)
    shown = capsys.readouterr().out
    assert "cifar100: test split, 30 images" in shown and max(map(len, shown.splitlines())) <= 80
    results, found = accuracies(tmp_path / "run")
    assert set(found) == {"class", "group"}
    best = tmp_path / "run/checkpoints/best.ckpt"
    again = ("eval", data_root, tmp_path / "eval", f"ckpt_path={best}", "trainer=cpu")
    assert "not given, and" in running.fault(caplog, *again)
    running.run(*again, f"paths.data_dir={tmp_path}", "report=true")
    assert accuracies(tmp_path / "eval")[0] == results
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert json.loads(api.evaluate(best, data_dir=root).to_json())["categories"] == results["categories"]


@pytest.mark.long
def test_digits_have_five_heads_that_learn(data_root, tmp_path, capsys):
    words = ("experiment=digits_multihead", "trainer=cpu", "trainer.max_epochs=4")
    running.run("train", data_root, tmp_path / "run", *words)
    results, found = accuracies(tmp_path / "run")
    assert found["digit"] > 0.8 and found["parity"] > 0.85 and set(found) == {"digit", "parity", "strokes", "is_zero"}
    (row,) = results["rows"]
    assert row["name"] == "value" and row["relative_mae"] < 0.5
    shown = capsys.readouterr().out
    told = "synthetic labels, computed from the class: parity, strokes, is_zero, value"
    assert max(map(len, shown.splitlines())) <= 80 and told in " ".join(shown.split())
    assert told in (tmp_path / "run/test_results.md").read_text()
    best = tmp_path / "run/checkpoints/best.ckpt"
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={best}", "trainer=cpu")
    assert accuracies(tmp_path / "eval")[0] == results
