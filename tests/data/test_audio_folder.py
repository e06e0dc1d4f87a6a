"""A folder of labelled recordings becomes a dataset: images, splits, checks, and nothing half written."""

import csv
import json
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import resample_poly

from src.data import audio_folder
from src.data.audio_folder_datamodule import AudioFolderDataModule
from src.data.info import INFO_FILE, read_spec
from src.data.spec import DatasetSpec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.rerender import rendering_source
from src.spectral.front_end import FrontEnd
from src.utils.errors import UserError
from tests import running
from tests.data.references import snapshot

RATE, DURATION, FILES = 8000, 0.1, 20
STEP = 90  # Hz between the tones: 1.4 bins of the image
SPECTRAL = {"height": 32, "width": 6, "n_fft": 128, "n_window": 128, "window_type": "hann"}


def tone(number, rate=16000, duration=DURATION):
    time = np.arange(round(rate * duration)) / rate
    return 0.5 * np.sin(2 * np.pi * STEP * (number + 1) * time)


def write_folder(folder: Path, rows=None) -> Path:
    """Write tones of 16 kHz, and their frequencies; `rows` replaces the lines of the CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,frequency [Hz],wave"]
    for number in range(FILES):
        name = f"{number:02}.{'flac' if number % 2 else 'wav'}"
        soundfile.write(folder / name, tone(number), 16000)
        lines.append(f"{name},{STEP * (number + 1)},{'odd' if number % 2 else 'even'}")
    (folder / "labels.csv").write_text("\n".join(rows or lines) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "my sounds")


def opened(folder, root, **changes):
    settings = {"audio_dir": str(folder), "sample_rate": RATE, "duration": DURATION, "spectral": SPECTRAL}
    module = AudioFolderDataModule(**settings | {"root": root} | changes)
    module.setup()
    return module


def clips_of(module):
    with (module.data_dir / audio_folder.CLIPS_FILE).open() as file:
        return list(csv.DictReader(file))


def checks_of(module):
    return {name: found["first"] for name, found in module.spec.origin.generator["checks"].items()}


def test_images_and_labels_are_those_of_the_files(folder, tmp_path):
    module = opened(folder, tmp_path / "data")
    assert module.data_dir.name.startswith("vimh-32x6x1_8000Hz_0p1s_my_sounds_2p_")
    front_end = FrontEnd(module.spec.origin.spectral, RATE, round(RATE * DURATION))
    clips = clips_of(module)
    assert [row["split"] for row in clips] == ["train"] * 16 + ["val"] * 2 + ["test"] * 2
    for split in ("train", "val", "test"):
        own = [row for row in clips if row["split"] == split]
        assert [int(row["row"]) for row in own] == list(range(len(own)))
        numbers = [int(row["file"][:2]) for row in own]
        stored = VIMHDataset(module.data_dir, split, verify=True)
        np.testing.assert_array_equal(stored.values[:, 0], [STEP * (number + 1) for number in numbers])
        np.testing.assert_array_equal(stored.values[:, 1], [number % 2 for number in numbers])
        sounds = [resample_poly(tone(number).astype(np.float32), 1, 2) for number in numbers]
        images = front_end.to_bytes(front_end(torch.from_numpy(np.stack(sounds).astype(np.float32)))[0])
        apart = images.short() - stored.__getitems__(range(len(own)))["image"].short()
        assert apart.abs().max() <= 8 and apart.abs().float().mean() < 0.5  # files hold 16 bits: -90 dB near the floor


def test_the_description_is_read_back_and_names_no_synth(folder, tmp_path):
    module = opened(folder, tmp_path / "data", spectral=SPECTRAL | {"channels": ["magnitude", "stft_160"]})
    spec = module.spec
    assert [(one.name, one.unit, one.values) for one in spec.space] == [
        ("frequency", "Hz", None),
        ("wave", "", ("even", "odd")),
    ]
    assert spec.origin.recipe is None and rendering_source(spec) is None
    assert (spec.origin.sample_rate, spec.origin.duration, spec.origin.synth_type) == (RATE, DURATION, "my_sounds")
    assert spec.origin.spectral.hop_length == "auto" and spec.origin.spectral.channels[1] == "stft_160"
    assert DatasetSpec.from_dict(spec.to_dict()) == spec


def test_a_dataset_is_made_once_and_again_after_any_change(folder, tmp_path):
    root = tmp_path / "data"
    first = opened(folder, root)
    before = snapshot(root)
    assert opened(folder, root).data_dir == first.data_dir and snapshot(root) == before
    (folder / "notes.txt").write_text("not a sound")
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text().replace("\n", "\r\n"))
    assert opened(folder, root).data_dir == first.data_dir
    names = {first.data_dir.name}
    soundfile.write(folder / "00.wav", 0.9 * tone(0), 16000)
    names.add(opened(folder, root).data_dir.name)
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text().replace(",180,", ",181,"))
    names.add(opened(folder, root).data_dir.name)
    names.add(opened(folder, root, split_seed=1).data_dir.name)
    assert len(names) == 4 == len(list(root.iterdir()))


def test_a_dataset_at_a_url_is_made_there_and_copied(folder, tmp_path):
    here = opened(folder, tmp_path / "data")
    there = opened(folder, f"memory://{tmp_path}", cache_dir=tmp_path / "cache")
    assert there.data_dir.is_relative_to(tmp_path / "cache") and there.spec == here.spec
    for split in ("train", "val", "test"):
        assert (there.data_dir / split).read_bytes() == (here.data_dir / split).read_bytes()


def test_a_given_name_refuses_other_content(folder, tmp_path):
    assert opened(folder, tmp_path, name="mine").data_dir == tmp_path / "mine"
    assert opened(folder, tmp_path, name="mine").spec.name == "mine"
    with pytest.raises(UserError, match=r"mine: was made of other sounds, labels or settings; give dataset.name"):
        opened(folder, tmp_path, name="mine", split_seed=1)


def test_no_group_and_no_copy_is_in_two_splits(tmp_path):
    rows = ["file,group,x"] + [
        f"{number:02}.{'flac' if number % 2 else 'wav'},{number // 4},{number}" for number in range(FILES)
    ]
    folder = write_folder(tmp_path / "sounds", rows)
    (folder / "19.flac").write_bytes((folder / "01.flac").read_bytes())
    for seed in range(5):
        clips = clips_of(opened(folder, tmp_path / "data", split_seed=seed))
        splits = {group: {row["split"] for row in clips if row["group"] == group} for group in "01234"}
        assert all(len(found) == 1 for found in splits.values()) and splits["0"] == splits["4"]
        assert set.union(*splits.values()) == {"train", "val", "test"}


def test_the_seed_draws_the_splits_and_their_sizes_are_those_asked_for(tmp_path):
    folder = write_folder(tmp_path / "sounds")
    drawn = []
    for seed in (0, 1):
        module = opened(folder, tmp_path / "data", split_seed=seed, val_fraction=0.2, test_fraction=0.3)
        assert module.spec.counts == {"train": 10, "val": 4, "test": 6}
        drawn.append({row["file"] for row in clips_of(module) if row["split"] == "test"})
    assert drawn[0] != drawn[1]


def test_what_is_wrong_with_sounds_is_found(tmp_path, capsys):
    names = [f"{number:02}.{'flac' if number % 2 else 'wav'}" for number in range(FILES)]
    names += ["silent.wav", "nan.wav", "junk.wav", "loud.wav", "copy.wav", "other.wav", "near.wav", "gone.wav"]
    folder = write_folder(tmp_path / "sounds", ["file,x"] + [f"{name},{at}" for at, name in enumerate(names)])
    rate = 16000
    soundfile.write(folder / "silent.wav", np.full(1600, 1e-5), rate)
    soundfile.write(folder / "nan.wav", np.full(1600, np.nan), rate, subtype="FLOAT")
    (folder / "junk.wav").write_bytes(b"not a sound")
    soundfile.write(folder / "loud.wav", np.clip(4 * tone(4.5), -1, 1), rate)
    (folder / "copy.wav").write_bytes((folder / "00.wav").read_bytes())
    (folder / "other.wav").write_bytes((folder / "00.wav").read_bytes())
    soundfile.write(folder / "near.wav", 0.99 * tone(3), rate)
    soundfile.write(folder / "02.wav", tone(2, duration=0.3), rate)
    soundfile.write(folder / "04.wav", tone(4, duration=0.05), rate)
    soundfile.write(folder / "sub.wav", tone(1), rate)
    text = (folder / "labels.csv").read_text().replace("copy.wav,24", "copy.wav,0").replace("near.wav,26", "near.wav,3")
    (folder / "labels.csv").write_text(text)
    module = opened(folder, tmp_path / "data")
    found = checks_of(module)
    assert found.pop("near_copies", []) + found.pop("leaking", [])
    assert found == {
        "missing": [["gone.wav"]],
        "unlisted": [["sub.wav"]],
        "unreadable": [["nan.wav"], ["junk.wav"]],
        "silent": [["silent.wav"]],
        "long": [["02.wav"]],
        "short": [["04.wav"]],
        "clipped": [["loud.wav"]],
        "copies": [["copy.wav", "00.wav"]],
        "contradicting": [["other.wav", "00.wav"]],
    }
    assert sum(module.spec.counts.values()) == FILES + 4
    printed = capsys.readouterr().out
    assert "clipped, or held at full scale" in printed and max(map(len, printed.splitlines())) <= 80


def test_near_copies_are_told_within_and_between_splits(tmp_path):
    folder = write_folder(tmp_path / "sounds")
    soundfile.write(folder / "03.flac", 0.99 * tone(2), 16000)
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(text.replace("03.flac,360,odd", "03.flac,270,even"))
    seen = set()
    for seed in range(12):
        module = opened(folder, tmp_path / "data", split_seed=seed)
        split = {row["file"]: row["split"] for row in clips_of(module)}
        found = checks_of(module)
        assert ["02.wav", "03.flac"] in found["near_copies"] and ["03.flac", "02.wav"] in found["near_copies"]
        pair = split["02.wav"], split["03.flac"]
        leaks = [files for files in (["02.wav", "03.flac"], ["03.flac", "02.wav"]) if split[files[1]] == "train"]
        leaks = [files for files in leaks if split[files[0]] != "train"]
        assert found.get("leaking", []) == leaks
        seen.add(pair[0] == pair[1])
    assert seen == {True, False}


def test_clips_of_a_long_file_share_its_labels_and_its_split(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    silence = np.zeros(800)
    for number in range(4):
        note = tone(number, RATE) * np.linspace(1, 0, 800)
        soundfile.write(folder / f"{number}.wav", np.concatenate([note, silence, silence, note, silence]), RATE)
    (folder / "labels.csv").write_text("file,x\n" + "".join(f"{number}.wav,{number}\n" for number in range(4)))
    for segment, starts in (("fixed", {"0", "0.3"}), ("onsets", None)):
        module = opened(folder, tmp_path / "data", segment=segment)
        clips = clips_of(module)
        assert len(clips) == 8 and (starts is None or {row["start"] for row in clips} == starts)
        for split in ("train", "val", "test"):
            stored = VIMHDataset(module.data_dir, split)
            assert stored.values[:, 0].tolist() == [int(row["file"][0]) for row in clips if row["split"] == split]
        assert all(len({row["split"] for row in clips if row["file"] == f"{number}.wav"}) == 1 for number in range(4))


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"audio_dir": None}, "data.audio_dir: not given"),
        ({"audio_dir": "nowhere"}, "nowhere is not a folder"),
        ({"csv": "other.csv"}, "other.csv: no such file"),
        ({"segment": "bars"}, "data.segment: 'bars' given; "),
        ({"sample_rate": 10}, "data.sample_rate: 10 given; "),
        ({"parameters": {"cutoff": {}}}, "data.parameters: .* has no column 'cutoff'"),
        ({"parameters": {"wave": 3}}, "data.parameters.wave: 3 given"),
        ({"spectral": SPECTRAL | {"height": 100}}, "data.spectral"),
        ({"val_fraction": 0.6}, "data.val_fraction"),
        ({"batch_size": 0}, "data.batch_size"),
        ({"name": "../up"}, "data.name"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_line(folder, tmp_path, changes, cause):
    with pytest.raises(UserError, match=cause) as raised:
        opened(**{"folder": folder, "root": tmp_path / "data"} | changes)
    assert "\n" not in str(raised.value) and not (tmp_path / "data").exists()


def test_too_few_groups_are_one_line(tmp_path):
    rows = ["file,group,x", "00.wav,a,1", "01.flac,a,2", "02.wav,b,3"]
    folder = write_folder(tmp_path / "sounds", rows)
    with pytest.raises(UserError, match="2 groups of files have sounds; at least 3"):
        opened(folder, tmp_path / "data")
    (folder / "labels.csv").write_text("file,x\nx.wav,1\ny.wav,2\n")
    with pytest.raises(UserError, match=r"none of its files is in the folder, such as x.wav"):
        opened(folder, tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("where", ["pack_records", "_check_copies", "_clips_csv"])
def test_an_interruption_leaves_nothing(folder, tmp_path, monkeypatch, where):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(audio_folder, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(folder, tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())
    monkeypatch.undo()
    assert opened(folder, tmp_path / "data").spec.counts["train"] == 16


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on files is Linux's")
def test_a_full_disk_is_one_line_and_leaves_nothing(folder, tmp_path):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, old[1]))
    try:
        with pytest.raises(UserError, match="the disk is full"):
            opened(folder, tmp_path / "data")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list((tmp_path / "data").iterdir())


def test_the_planned_spec_is_that_of_the_dataset(folder, tmp_path):
    settings = {"audio_dir": folder, "sample_rate": RATE, "duration": DURATION, "spectral": SPECTRAL, "root": tmp_path}
    module = AudioFolderDataModule(**settings)
    planned = module.planned_spec()
    assert not (tmp_path / planned.name).exists()
    assert (planned.space, planned.inputs) == (module.spec.space, module.spec.inputs)
    assert AudioFolderDataModule(**settings).planned_spec() is None


@pytest.mark.long
def test_a_model_is_trained_tested_and_predicts_a_recording(folder, tmp_path):
    given = ("data=audio_folder", f"data.audio_dir={folder}", "data.sample_rate=8000", "data.duration=0.5")
    score = running.run("train", tmp_path / "data", tmp_path / "run", *given, "data.batch_size=8")
    assert np.isfinite(score)
    results = json.loads((tmp_path / "run/test_results.json").read_text())
    assert "frequency" in json.dumps(results)
    best = tmp_path / "run/checkpoints/best.ckpt"
    running.run("eval", tmp_path / "data", tmp_path / "eval", f"ckpt_path={best}", "trainer=cpu")
    assert (tmp_path / "eval/test_results.json").is_file()
    running.run("predict", tmp_path / "data", tmp_path / "predict", f"ckpt_path={best}", f"input={folder / '00.wav'}")
    assert (tmp_path / "predict/predictions.csv").read_text().count("\n") == 2
    (directory,) = (tmp_path / "data").glob("vimh-*")
    assert read_spec(directory).name == directory.name and (directory / INFO_FILE).is_file()
