"""What an earlier version has written still works: a dataset, a checkpoint and a run directory.

tests/previous holds a dataset of 48 clips and a run of two epochs with a classification and a regression head, made
before parameters, heads and losses moved to packages of their own, and what that version predicted for the test split.
"""

import json
import shutil

import numpy as np
import pytest

from src.cli.resume import resumed
from src.data.info import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.predict import predict_dataset
from src.models.build import load_checkpoint
from src.run.record import read_record
from tests import running

PREVIOUS = running.ROOT / "tests/previous"


def test_a_dataset_opens_with_its_exact_labels():
    spec = read_spec(PREVIOUS / "dataset")
    assert spec.space.names == ("note_velocity", "log10_decay_time") and spec.space.num_classes == (10, 24)
    values = np.load(PREVIOUS / "dataset/train_params.npy")
    train = VIMHDataset(PREVIOUS / "dataset", "train", verify=True)
    np.testing.assert_allclose(spec.space.denormalize(train.targets()), values, rtol=0, atol=63 * 2**-24)  # float32


def test_a_checkpoint_predicts_what_it_predicted():
    before = json.loads((PREVIOUS / "predictions.json").read_text())
    now = predict_dataset(load_checkpoint(PREVIOUS / "run/checkpoints/last.ckpt"), PREVIOUS / "dataset")
    assert [prediction.name for prediction in now] == list(before["predictions"])
    for prediction in now:
        expected = list(before["predictions"][prediction.name].values())
        np.testing.assert_allclose(prediction.values, expected, rtol=1e-5)
        expected = list(before["uncertainties"][prediction.name].values())
        np.testing.assert_allclose(prediction.uncertainties, expected, rtol=1e-4)


@pytest.mark.slow
def test_a_run_is_continued(tmp_path):
    run = shutil.copytree(PREVIOUS / "run", tmp_path / "run")
    shutil.copytree(PREVIOUS / "dataset", tmp_path / "data" / read_spec(PREVIOUS / "dataset").name)
    words = (f"resume={run}", f"paths.data_dir={tmp_path / 'data'}", "trainer.max_epochs=4")
    assert resumed(list(words))[:2] == ["--config-dir", str(run / ".hydra")]
    done = running.command("src/train.py", *words)
    assert done.returncode == 0, done.stderr + done.stdout
    sessions = read_record(run)
    assert [session["epochs"] for session in sessions] == [2, 4] and sessions[-1]["outcome"] == "finished"
