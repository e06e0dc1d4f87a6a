"""Results are there whole or as they were before, whenever the disk is full."""

import errno
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from src.data.info import read_spec
from src.evaluation.predict import Prediction, predict_files, write_predictions
from src.models.build import load_checkpoint
from src.spectral.audio_file import write_clip
from tests import running


@pytest.fixture
def full_disk(monkeypatch):
    """A disk on which the second half of every file does not fit; return the names of what was written."""
    real, tried = Path.open, []

    def open_full(path, mode="r", *rest, **named):
        file = real(path, mode, *rest, **named)
        if not {"w", "x"}.intersection(mode):
            return file
        tried.append(path.name)
        return _Full(file)

    monkeypatch.setattr(Path, "open", open_full)
    return tried


class _Full:
    """A file that takes half of what it is given."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def predictions_of(space, value):
    numbers = np.full(len(space), value)
    return [Prediction("a.wav", numbers, numbers, numbers, numbers)]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_full_disk_leaves_the_old_predictions_and_no_part_of_new_ones(saw, tmp_path, request):
    space = read_spec(saw).space
    write_predictions(predictions_of(space, 1.0), space, tmp_path)
    before = contents(tmp_path)
    tried = request.getfixturevalue("full_disk")
    with pytest.raises(OSError, match="No space left"):
        write_predictions(predictions_of(space, 2.0), space, tmp_path)
    assert contents(tmp_path) == before and tried == [".predictions.csv.partial"]
    assert json.loads(before["predictions.json"])["predictions"]["a.wav"]["note_velocity"] == 1.0


def test_a_full_disk_leaves_no_part_of_a_sound(tmp_path, full_disk):
    with pytest.raises(OSError, match="No space left"):
        write_clip(tmp_path / "a.wav", np.full(800, 0.5, np.float32), 8000)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_while_sounds_are_rendered_is_no_fault_of_a_sound(trained, tmp_path, request):
    time = np.arange(8000) / 8000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 8000)
    request.getfixturevalue("full_disk")
    with pytest.raises(OSError, match="No space left"):
        predict_files(load_checkpoint(trained.best), [tmp_path / "a.wav"], None, tmp_path / "out")


def test_a_full_disk_ends_a_prediction_in_one_line(trained, saw, tmp_path, request, caplog):
    request.getfixturevalue("full_disk")
    given = (f"ckpt_path={trained.best}", f"data.data_dir={saw}")
    with caplog.at_level(logging.ERROR):
        message = running.fault(caplog, "predict", tmp_path, tmp_path / "out", *given)
    assert "No space left" in message
    assert not [path for path in (tmp_path / "out").iterdir() if "predictions" in path.name]
