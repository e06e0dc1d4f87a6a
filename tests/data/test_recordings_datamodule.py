"""Recordings without labels: how they are cut, held out and analysed, and what a model learns from them."""

import numpy as np
import pytest
import torch

from src.data.info import read_spec
from src.data.origin import source_of
from src.data.recordings_datamodule import RecordingsDataModule
from src.evaluation.recordings import parse_segmentation
from src.models.build import load_checkpoint
from src.spectral.audio_file import write_clip
from src.utils.errors import UserError
from tests import running

FILES = 20


@pytest.fixture(scope="module")
def source(saw):
    return source_of(read_spec(saw))


@pytest.fixture(scope="module")
def sounds(source):
    """Sounds (n, T) that are not in the dataset, all of them quiet."""
    values = source.synth.space.sample(99, 0, FILES)
    values[:, source.synth.space.index("note_velocity")] = 70
    return source.sounds(values)


@pytest.fixture(scope="module")
def folder(sounds, source, tmp_path_factory):
    found = tmp_path_factory.mktemp("recordings")
    for number, sound in enumerate(sounds):
        write_clip(found / f"{number:02}.wav", sound, source.front_end.sample_rate)
    return found


def opened(folder, saw, **options):
    datamodule = RecordingsDataModule(folder, **options)
    datamodule.describe(read_spec(saw), {"seed": 0})
    datamodule.setup("fit")
    return datamodule


def test_a_tenth_of_the_files_is_held_out_and_images_are_those_of_the_front_end(folder, saw, source, sounds):
    datamodule = opened(folder, saw)
    train, val = datamodule.dataset("train"), datamodule.dataset("val")
    assert (len(train), len(val)) == (18, 2) and not train.labelled
    batches = [split.__getitems__(range(len(split))) for split in (train, val)]
    assert set(batches[0]) == {"image", "scale"}
    found = torch.cat([batch["image"] for batch in batches])
    wanted = source.front_end(torch.from_numpy(sounds))[0]
    distances = (found[:, None] - wanted[None]).abs().flatten(2).mean(dim=2)
    assert distances.amin(dim=1).max() < 0.02  # files hold 16 bits
    assert sorted(distances.argmin(dim=1).tolist()) == list(range(FILES))


def test_the_seed_draws_the_files_that_are_held_out(folder, saw):
    held_out = [opened(folder, saw, seed=seed).dataset("val").__getitems__([0, 1])["image"] for seed in (0, 0, 1)]
    assert torch.equal(held_out[0], held_out[1]) and not torch.equal(held_out[0], held_out[2])


def test_long_files_give_several_clips_and_silent_ones_none(saw, source, sounds, tmp_path):
    rate = source.front_end.sample_rate
    write_clip(tmp_path / "a.wav", np.concatenate([sounds[0], np.zeros(rate, np.float32), sounds[1]]), rate)
    write_clip(tmp_path / "b.wav", np.concatenate([sounds[2], sounds[3][: rate // 2]]), rate)
    datamodule = opened(tmp_path, saw)
    assert len(datamodule.dataset("train")) == len(datamodule.dataset("val")) == 2


def test_onsets_are_those_of_the_prediction(folder, saw, source, sounds, tmp_path):
    config = running.composed("train", "experiment=adapt_to_recordings", "data.segment=onsets")
    given = RecordingsDataModule(segment="onsets", onsets=config.data.onsets).segmentation
    assert given == parse_segmentation(running.composed("predict", "segment=onsets"))
    assert given == RecordingsDataModule(segment="onsets").segmentation
    rate = source.front_end.sample_rate
    for name in "ab":
        write_clip(tmp_path / f"{name}.wav", np.concatenate([sounds[0][: rate // 5], sounds[1]]), rate)
    counts = [len(opened(tmp_path, saw, segment="onsets", onsets={"min_gap": gap}).dataset("val")) for gap in (0.1, 1)]
    assert counts == [2, 1]


def test_a_file_that_cannot_be_read_is_a_warning(saw, source, sounds, tmp_path, caplog):
    for name in "abc":
        write_clip(tmp_path / f"{name}.wav", sounds[0], source.front_end.sample_rate)
    (tmp_path / "d.wav").write_bytes(b"not a sound")
    opened(tmp_path, saw, val_fraction=0.5)
    assert "left out: " in caplog.text and "d.wav" in caplog.text


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({}, "data.audio_dir: not given"),
        ({"audio_dir": "nowhere"}, "nowhere is not a folder"),
        ({"audio_dir": "."}, "0 sound files; at least 2"),
        ({"audio_dir": ".", "val_fraction": 1.0}, "data.val_fraction"),
        ({"audio_dir": ".", "segment": "bars"}, "data.segment: 'bars' given; "),
        ({"audio_dir": ".", "onsets": {"min_gap": 0.01}}, "data.onsets.min_gap: 0.01 given; "),
        ({"audio_dir": ".", "onsets": {"gap": 0.1}}, "data.onsets.gap: 0.1 given; "),
    ],
)
def test_what_is_no_folder_of_sounds_is_one_line(options, cause, saw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=cause):
        opened(saw=saw, **{"folder": options.pop("audio_dir", None), **options})


def adapt(data_root, output, folder, *more):
    given = ("experiment=adapt_to_recordings", f"data.audio_dir={folder}", *more)
    return running.run("train", data_root, output, *given)


@pytest.mark.long
def test_a_model_is_adapted_without_labels(data_root, folder, saw, trained, tmp_path):
    quick = ("trainer.max_epochs=12", "data.batch_size=6", "model.optimizer.lr=0.004")
    score = adapt(data_root, tmp_path, folder, f"ckpt_path={trained.best}", "logger=[csv,tensorboard]", *quick)
    before, after = load_checkpoint(trained.best), load_checkpoint(tmp_path / "checkpoints/best.ckpt")
    rows = next(tmp_path.rglob("metrics.csv")).read_text().splitlines()
    column = rows[0].split(",").index("val/sound_loss")
    losses = [float(row.split(",")[column]) for row in rows[1:] if row.split(",")[column]]
    assert score == pytest.approx(min(losses), rel=1e-4)
    task = after.heads
    task.prepare(())
    held_out = opened(folder, saw).dataset("val").__getitems__([0, 1])
    with torch.inference_mode():
        found = [float(task.measure_added(model(held_out["image"]), held_out)) for model in (before, after)]
    assert found[1] == pytest.approx(score, rel=1e-3) and found[1] < 0.9 * found[0]
    assert type(after.network) is type(before.network)
    more = ("trainer.max_epochs=13", f"resume={tmp_path}", "logger=csv", "callbacks=[default,spectrogram_logging]")
    continued = adapt(data_root, tmp_path, folder, *quick, *more)
    assert list(tmp_path.glob("sounds/*/*.png"))  # images of recordings and predictions need no labels
    last = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert last["epoch"] == 12 and continued <= score * (1 + 1e-6)  # it goes on from its own checkpoint
    # it is the dataset of the first training that an adapted model can be tested on
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={tmp_path / 'checkpoints/best.ckpt'}", "trainer=cpu")
    assert (tmp_path / "eval/test_results.json").is_file()


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ((), "ckpt_path: not given"),
        (("test=true",), "no labels to test with"),
        (("data=vimh",), "adapt: true needs recordings"),
    ],
)
def test_what_cannot_be_adapted_is_one_line(caplog, data_root, folder, tmp_path, more, cause):
    given = () if "data=vimh" in more else (f"data.audio_dir={folder}",)
    assert cause in running.fault(
        caplog, "train", data_root, tmp_path, "experiment=adapt_to_recordings", "logger=csv", *given, *more
    )
