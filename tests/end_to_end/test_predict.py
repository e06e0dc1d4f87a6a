"""Predicting from sounds with nothing but a checkpoint."""

import csv
import json
import logging

import numpy as np
import pytest
import soundfile

from src.data.info import read_spec
from src.evaluation.intervals import written_estimate
from src.evaluation.rerender import rendering_source
from tests import running


@pytest.fixture(scope="module")
def clips(saw):
    """The test split's sounds (13, T) float32."""
    return rendering_source(read_spec(saw)).synth.render(np.load(saw / "test_params.npy")).T


def wav(path, sound, rate=8000, subtype="FLOAT"):
    soundfile.write(path, sound, rate, subtype=subtype)
    return path


def predicted(output):
    return json.loads((output / "predictions.json").read_text())["predictions"]


def test_a_sound_gives_numbers_sound_and_a_table(trained, clips, saw, tmp_path, capsys):
    path = wav(tmp_path / "one.wav", clips[0])
    running.run("predict", tmp_path / "no_data", tmp_path / "out", f"ckpt_path={trained.best}", f"input={path}")
    running.run("predict", tmp_path / "no_data", tmp_path / "set", f"ckpt_path={trained.best}", f"input={saw}")
    assert not (tmp_path / "no_data").exists()
    (values,) = predicted(tmp_path / "out").values()
    assert values == pytest.approx(predicted(tmp_path / "set")["test 0"], rel=1e-5)
    with (tmp_path / "out/predictions.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "one.wav" and float(row["note_velocity"]) == pytest.approx(values["note_velocity"], rel=1e-5)
    for name in ("one_input.wav", "one_predicted.wav"):
        assert soundfile.info(tmp_path / "out" / name).frames == 8000
    table = capsys.readouterr().out
    numbers = [float(row[f"log10_decay_time{suffix}"]) for suffix in ("", "_low_90", "_high_90")]
    assert "one.wav" in table and all(text in table for text in written_estimate(*numbers))


def test_the_mean_error_over_a_folder_is_the_tests(trained, clips, saw, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for at, clip in enumerate(clips):
        wav(folder / f"{at:02d}.wav", clip)
    given = (f"ckpt_path={trained.best}", f"input={folder}", "render=false")
    running.run("predict", tmp_path, tmp_path / "out", *given)
    truth = np.load(saw / "test_params.npy")
    values = np.array([list(one.values()) for one in predicted(tmp_path / "out").values()])
    expected = [row["mae"] for row in trained.results["rows"]]
    np.testing.assert_allclose(np.abs(values - truth).mean(axis=0), expected, rtol=1e-4)
    assert not list((tmp_path / "out").glob("*.wav"))


def test_one_bad_file_of_a_folder_is_told_and_the_others_are_predicted(trained, clips, tmp_path, caplog):
    folder = tmp_path / "in"
    folder.mkdir()
    wav(folder / "a.wav", clips[0])
    (folder / "b.wav").write_text("not a sound")
    wav(folder / "c.wav", clips[1])
    message = running.fault(
        caplog, "predict", tmp_path, tmp_path / "out", f"ckpt_path={trained.best}", f"input={folder}"
    )
    assert message.startswith(f"{folder / 'b.wav'}: not a sound file")
    assert list(predicted(tmp_path / "out")) == ["a.wav", "c.wav"]


@pytest.mark.parametrize(
    ("change", "rate", "words"),
    [
        (lambda clip: np.repeat(clip, 2), 16000, "resampled from 16000 to 8000 Hz"),
        (lambda clip: clip[:4000], 8000, "0.500 s long, padded with silence to 1.000 s"),
        (lambda clip: np.tile(clip, 2), 8000, "2.000 s long; only the first 1.000 s are used"),
    ],
)
def test_what_is_changed_on_the_way_is_told(trained, clips, tmp_path, caplog, change, rate, words):
    path = wav(tmp_path / "one.wav", change(clips[0]), rate)
    with caplog.at_level(logging.WARNING):
        running.run("predict", tmp_path, tmp_path / "out", f"ckpt_path={trained.best}", f"input={path}")
    told = [record.getMessage() for record in caplog.records if "one.wav" in record.getMessage()]
    assert any(words in message for message in told) and predicted(tmp_path / "out")


def test_a_trimmed_sound_is_predicted_by_its_beginning(trained, clips, tmp_path):
    long = wav(tmp_path / "long.wav", np.concatenate([clips[0], clips[1]]))
    running.run("predict", tmp_path, tmp_path / "long", f"ckpt_path={trained.best}", f"input={long}")
    short = wav(tmp_path / "short.wav", clips[0])
    running.run("predict", tmp_path, tmp_path / "short", f"ckpt_path={trained.best}", f"input={short}")
    assert predicted(tmp_path / "long")["long.wav"] == predicted(tmp_path / "short")["short.wav"]


def test_a_channel_is_chosen_by_name(trained, clips, tmp_path):
    stereo = wav(tmp_path / "two.wav", np.stack(clips[:2], axis=1))
    for at, channel in enumerate(("left", "right")):
        given = (f"ckpt_path={trained.best}", f"channel={channel}")
        running.run("predict", tmp_path, tmp_path / channel, *given, f"input={stereo}")
        mono = wav(tmp_path / f"{channel}.wav", clips[at])
        running.run("predict", tmp_path, tmp_path / "mono", *given, f"input={mono}")
        assert list(predicted(tmp_path / channel).values()) == list(predicted(tmp_path / "mono").values())


def bad_inputs(folder, clip):
    """Return what is wrong with each file, and what its one line says."""
    spoilt = clip.copy()
    spoilt[100] = np.nan
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("not a sound")
    wav(folder / "nan.wav", spoilt)
    wav(folder / "silent.wav", 0 * clip)
    wav(folder / "stereo.wav", np.stack([clip, clip], axis=1))
    (folder / "nothing").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes/a.txt").touch()
    return {
        "missing.wav": "no such file",
        "empty.wav": "0 bytes",
        "text.wav": "not a sound file",
        "nan.wav": "sample 100 is not finite",
        "silent.wav": "silent",
        "stereo.wav": "2 channels, but the model needs one; give channel=",
        "nothing": "holds no sound file",
        "notes": "holds no sound file",
    }


def test_every_bad_input_is_one_clear_line_and_leaves_nothing(trained, clips, tmp_path, caplog):
    for name, words in bad_inputs(tmp_path, clips[0]).items():
        given = (f"ckpt_path={trained.best}", f"input={tmp_path / name}")
        message = running.fault(caplog, "predict", tmp_path, tmp_path / "out", *given)
        assert name in message and words in message
    assert not list((tmp_path / "out").iterdir())


def test_a_bad_checkpoint_is_one_line(clips, tmp_path, caplog):
    path = wav(tmp_path / "one.wav", clips[0])
    message = running.fault(caplog, "predict", tmp_path, tmp_path / "out", f"ckpt_path={path}", f"input={path}")
    assert message.startswith(f"ckpt_path: {path} is not a readable checkpoint")


def test_a_dataset_of_another_kind_is_one_line(trained, saw, tmp_path, caplog):
    info = json.loads((saw / "vimh_dataset_info.json").read_text()) | {"height": 16}
    (tmp_path / "vimh_dataset_info.json").write_text(json.dumps(info))
    given = (f"ckpt_path={trained.best}", f"input={tmp_path}")
    message = running.fault(caplog, "predict", tmp_path, tmp_path / "out", *given)
    assert "images (C, H, W) are (1, 16, 32), but the model was trained on (1, 32, 32)" in message


@pytest.mark.slow
def test_the_command_itself_ends_in_one_line_and_status_1(trained, clips, tmp_path):
    wav(tmp_path / "stereo.wav", np.stack(clips[:2], axis=1))
    given = (f"ckpt_path={trained.best}", f"input={tmp_path / 'stereo.wav'}", f"hydra.run.dir={tmp_path / 'out'}")
    done = running.command("src/predict.py", *given)
    told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert done.returncode == 1 and len(told) == 1 and "give channel=mix, left or right" in told[0], told
