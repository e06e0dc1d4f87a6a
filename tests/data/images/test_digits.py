"""The digits: the splits, the images of scikit-learn, and a run from training to the test."""

import builtins
import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from src import api
from src.data.images.digits import DigitsDataModule
from src.data.reopen import reopened
from src.utils.errors import UserError
from tests import running

CPU = ("data=digits", "trainer=cpu", "model.network.strides=[1,2,1]", "callbacks=[default,grouped_progress_bar]")


def test_the_splits_share_no_sample_and_hold_all_digits():
    data = DigitsDataModule(batch_size=32)
    images, classes = load_digits(return_X_y=True)
    found = []
    for split in ("train", "val", "test"):
        dataset = data.dataset(split)
        batch = dataset.__getitems__(range(len(dataset)))
        levels = np.rint(batch["image"].numpy().reshape(len(dataset), -1) * (16 / 255))
        digits = np.rint(data.spec.space.denormalize(batch["target"].numpy())[:, 0]).astype(int)
        assert len(dataset) == data.spec.counts[split] and np.array_equal(batch["target"], dataset.targets())
        found += [(digit, tuple(row)) for digit, row in zip(digits, levels, strict=True)]
    assert sorted(found) == sorted((digit, tuple(row)) for digit, row in zip(classes, images, strict=True))
    assert data.spec.counts == {"train": 1439, "val": 179, "test": 179}


def test_training_images_have_the_mean_and_the_deviation_of_the_spec():
    data = DigitsDataModule()
    scale, offset = data.spec.inputs.scale_and_offset()
    image = data.dataset("train").__getitems__(range(1439))["image"] / 255.0
    normalised = scale * image + offset
    assert abs(float(normalised.mean())) < 1e-4 and abs(float(normalised.std()) - 1.0) < 1e-3


def test_batches_depend_on_the_seed_and_splits_do_not():
    one, other = DigitsDataModule(seed=1), DigitsDataModule(seed=2)
    assert one.spec == other.spec
    first = [next(iter(data.train_dataloader()))["target"] for data in (one, other)]
    assert not np.array_equal(*first)


def test_a_missing_package_is_one_line(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match="scikit-learn is not installed; uv pip install scikit-learn"):
        _ = DigitsDataModule().spec


def test_settings_open_the_same_data_again():
    data = DigitsDataModule(eval_batch_size=7, seed=3)
    again = reopened(data.checkpoint_settings())
    assert again.settings == data.settings and again.spec == data.spec
    older = reopened({"format": "digits", "eval_batch_size": 7, "seed": 3})
    assert older.settings == data.settings and older.spec == data.spec
    assert reopened({"labels": "exact"}) is None


@pytest.mark.long
def test_a_network_learns_digits_and_is_tested_again(data_root, tmp_path, capsys, caplog):
    running.run("train", data_root, tmp_path / "run", *CPU, "trainer.max_epochs=4", whole=True)
    shown = capsys.readouterr().out
    assert "digits: test split, 179 images" in shown and "digit" in shown and "fraction wrong" in shown
    results = json.loads((tmp_path / "run/test_results.json").read_text())
    (row,) = results["categories"]
    assert row["accuracy"] > 0.9 > 0.2 > row["baseline_accuracy"]  # after a second of training
    best = tmp_path / "run/checkpoints/best.ckpt"
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={best}", "trainer=cpu", "report=true")
    assert json.loads((tmp_path / "eval/test_results.json").read_text()) == results
    assert "images that were used neither for training" in (tmp_path / "eval/report.html").read_text()
    assert json.loads(api.evaluate(best).to_json())["categories"] == results["categories"]
    line = running.fault(caplog, "predict", data_root, tmp_path, f"ckpt_path={best}", f"input={tmp_path}/sound.wav")
    assert "no sound" in line
    line = running.fault(caplog, "eval", data_root, tmp_path, f"ckpt_path={best}", f"data.data_dir={tmp_path}")
    assert line.startswith(f"data.data_dir: {tmp_path} given, but this model was not trained on a VIMH directory")
    with pytest.raises(UserError, match=r"^data.data_dir: "):
        api.evaluate(best, data_dir=tmp_path)


@pytest.mark.long
def test_features_of_digits_reconstruct_better_than_the_mean(data_root, tmp_path, capsys, caplog):
    words = (*CPU, "task=features", "trainer.max_epochs=3")
    running.run("train", data_root, tmp_path / "run", *words, whole=True)
    assert "image, reconstructed" in capsys.readouterr().out
    results = json.loads((tmp_path / "run/test_results.json").read_text())
    error = results["reconstruction_error"]
    assert results["rows"] == results["categories"] == [] and error["relative_mae"] < 0.8
    assert error["mae"] == pytest.approx(results["metrics"]["test/image_mae"], rel=1e-4)
    best = tmp_path / "run/checkpoints/best.ckpt"
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={best}", "trainer=cpu", "report=true")
    assert json.loads((tmp_path / "eval/test_results.json").read_text()) == results
    page = (tmp_path / "eval/report.html").read_text()
    assert "image, reconstructed" in page and 'id="heads"' not in page and "No sounds" not in page
    line = running.fault(caplog, "predict", data_root, tmp_path, f"ckpt_path={best}", f"input={tmp_path}/sound.wav")
    assert "no sound" in line
