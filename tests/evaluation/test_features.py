"""Features of sounds are the network's, from files and from a dataset alike."""

import csv

import numpy as np
import pytest
import soundfile
import torch

from src.data.dataset import images_to_float
from src.data.vimh_dataset import VIMHDataset
from src.models.build import load_checkpoint
from tests import running


@pytest.fixture(scope="module")
def learned(tmp_path_factory, data_root, saw):
    """Two epochs of the features task on the sounds of `saw`."""
    output = tmp_path_factory.mktemp("features")
    running.run("train", data_root, output, "task=features")
    return output / "checkpoints/best.ckpt"


def rows_of(directory):
    with (directory / "features.csv").open() as file:
        return {row.pop("name"): [float(number) for number in row.values()] for row in csv.DictReader(file)}


def test_a_dataset_gets_one_row_for_each_test_sound(learned, data_root, saw, tmp_path):
    running.run("predict", data_root, tmp_path, f"ckpt_path={learned}", f"input={saw}")
    model, test = load_checkpoint(learned), VIMHDataset(saw, "test")
    batch = test.__getitems__(range(len(test)))
    with torch.inference_mode():
        expected = model.features(images_to_float(batch["image"]), batch["scale"]).numpy()
    found = rows_of(tmp_path)
    assert list(found) == [f"test {row}" for row in range(len(test))]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-4, atol=1e-5)  # six digits are written


def test_a_dataset_of_other_parameters_is_read(learned, data_root, saw, tmp_path):
    checkpoint = torch.load(learned, weights_only=True)
    for parameter in checkpoint["dataset_spec"]["parameters"]:
        parameter["name"] += "_of_another"
    checkpoint["dataset_spec"]["generator"] = None  # it names them too
    checkpoint["dataset_spec"]["sensitivity"] = []
    torch.save(checkpoint, tmp_path / "other.ckpt")
    words = (f"ckpt_path={tmp_path}/other.ckpt", "trainer=cpu")
    running.run("predict", data_root, tmp_path / "features", words[0], f"input={saw}")
    running.run("eval", data_root, tmp_path / "eval", *words, f"data.data_dir={saw}")
    assert rows_of(tmp_path / "features") and (tmp_path / "eval/test_results.json").is_file()


def test_sound_files_get_theirs_and_a_damaged_one_is_told(learned, data_root, tmp_path, caplog):
    folder = tmp_path / "in"
    folder.mkdir()
    time = np.arange(8000) / 8000
    for name, hertz in (("low", 110.0), ("high", 440.0)):
        soundfile.write(folder / f"{name}.wav", 0.5 * np.sin(2 * np.pi * hertz * time), 8000)
    (folder / "none.wav").write_bytes(b"RIFF")
    line = running.fault(caplog, "predict", data_root, tmp_path, f"ckpt_path={learned}", f"input={folder}")
    assert "none.wav" in line
    found = rows_of(tmp_path)
    assert set(found) == {"low.wav", "high.wav"} and not np.allclose(found["low.wav"], found["high.wav"])
