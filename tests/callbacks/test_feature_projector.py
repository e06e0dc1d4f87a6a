"""The projector's files: features, parameters and thumbnails of the test sounds."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from src.callbacks.feature_projector import FeatureProjector
from src.data.dataset import images_to_float
from src.data.vimh_dataset import VIMHDataset
from src.models.build import load_checkpoint
from src.utils.errors import UserError
from tests import running


@pytest.mark.long
def test_each_test_sound_has_features_parameters_and_a_thumbnail(data_root, saw, tmp_path):
    few = ("callbacks=[model_checkpoint,feature_projector]", "callbacks.feature_projector.max_samples=9")
    running.run("train", data_root, tmp_path, *few, "logger=tensorboard")
    (folder,) = (tmp_path / "tensorboard").glob("*/test_features")
    assert folder.parent.name == f"{2 * 3:05d}"  # optimizer steps
    batch = VIMHDataset(saw, "test").__getitems__(range(9))
    with torch.no_grad():
        model = load_checkpoint(tmp_path / "checkpoints/best.ckpt")
        expected = model.features(images_to_float(batch["image"]), batch["scale"]).numpy()
    found = np.loadtxt(folder / "tensors.tsv", delimiter="\t")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    with (folder / "metadata.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["sound"] for row in rows] == [f"test {at}" for at in range(9)]
    truth = np.load(saw / "test_params.npy")[:9]
    for at, name in enumerate(model.spec.space.names):
        np.testing.assert_allclose([float(row[name]) for row in rows], truth[:, at], rtol=1e-4)
    assert Image.open(folder / "sprite.png").size == (3 * 24, 3 * 24)


def test_without_tensorboard_nothing_is_written(data_root, saw, tmp_path):
    running.run("train", data_root, tmp_path, "callbacks=feature_projector", "logger=csv", "trainer.max_epochs=1")
    assert not list(tmp_path.rglob("tensors.tsv"))


def test_an_odd_number_is_refused():
    with pytest.raises(UserError, match="max_samples: 0 given; give a number from 1 to 10000"):
        FeatureProjector(max_samples=0)
