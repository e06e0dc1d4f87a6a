"""Recordings in segments: each is predicted as the clip that one would cut by hand, and plays at its time."""

import csv
import json
import tracemalloc

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from src.evaluation.predict import make_front_end, predict_clip, predict_files
from src.evaluation.recordings import parse_segmentation, predict_recordings
from src.evaluation.refinement.answers import make_refiner
from src.evaluation.refinement.options import Options
from src.evaluation.rerender import rendering_source
from src.evaluation.tables import print_segments
from src.models.build import load_checkpoint
from src.spectral.segments import find_segments
from src.utils.errors import UserError
from tests import running

FS = 8000
STARTS = np.array([4000, 14_000, 25_333, 41_000])


@pytest.fixture(scope="module")
def model(trained):
    return load_checkpoint(trained.best)


@pytest.fixture(scope="module")
def song(model, saw):
    """Four clips of the test split (48,000,) float32; the last one is cut after 7,000 samples."""
    clips = rendering_source(model.spec).synth.render(np.load(saw / "test_params.npy")[:4]).T
    sound = np.zeros(48_000, np.float32)
    for start, clip in zip(STARTS, clips, strict=True):
        sound[start : start + 8000] += clip[: 48_000 - start]
    return sound


def written(path, sound, rate=FS):
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, sound, rate, subtype="FLOAT")
    return path


def segmentation(segment, hop=None, **onsets):
    config = running.composed("predict", f"segment={segment}", f"hop={'null' if hop is None else hop}")
    return parse_segmentation(OmegaConf.merge(config, {"onsets": onsets}))


def starts_of(predictions):
    return np.array([one.times[0] for one in predictions])


def test_segments_are_predicted_as_clips_cut_by_hand(model, song, tmp_path):
    path = written(tmp_path / "song.wav", song)
    found, faults = predict_recordings(model, [path], None, segmentation("fixed", 0.75), None)
    assert not faults and list(found) == ["song.wav"]
    assert [one.times for one in found["song.wav"]] == [(at, min(at + 1, 6)) for at in np.arange(0, 6, 0.75)]
    for one in found["song.wav"]:
        first = round(one.times[0] * FS)
        by_hand = written(tmp_path / "cut/clip.wav", song[first : first + 8000])
        (expected,), _ = predict_files(model, [by_hand], None, None)
        np.testing.assert_allclose(one.values, expected.values, rtol=1e-5)
        np.testing.assert_allclose(one.uncertainties, expected.uncertainties, rtol=1e-5)
        assert one.name == f"song.wav {one.times[0]:.3f} s"


@pytest.mark.parametrize("rate", [FS, 48_000])
def test_onsets_begin_the_segments_within_ten_samples(model, song, tmp_path, rate):
    """As many as an edge rings before it, if it is resampled."""
    path = written(tmp_path / "song.wav", np.repeat(song, rate // FS), rate)
    found, faults = predict_recordings(model, [path], None, segmentation("onsets"), None)
    assert not faults
    np.testing.assert_allclose(starts_of(found["song.wav"]), STARTS / FS, atol=10 / FS)
    front_end = make_front_end(model.spec)
    if rate == FS:
        for one in found["song.wav"]:
            first = round(one.times[0] * FS)
            clip = np.append(song, np.zeros(8000, np.float32))[first : first + 8000]
            np.testing.assert_allclose(one.values, predict_clip(model, front_end, clip, "").values, rtol=1e-5)


def test_refined_segments_have_the_true_parameters(model, saw, song, tmp_path):
    """A segment that began a sample late would not fit: the velocity would be wrong by several percent."""
    path = written(tmp_path / "song.wav", song)
    refiner = make_refiner(model, model.spec, Options(iterations=5))
    found, _ = predict_recordings(model, [path], None, segmentation("onsets"), None, refiner=refiner)
    values = np.stack([one.values for one in found["song.wav"][:3]])  # the last note is cut
    np.testing.assert_allclose(values, np.load(saw / "test_params.npy")[:3], rtol=1e-3)


def test_the_predictions_are_heard_at_their_times(model, song, tmp_path):
    path = written(tmp_path / "in/song.wav", song)
    found, _ = predict_recordings(model, [path], None, segmentation("onsets"), tmp_path)
    heard, rate = soundfile.read(tmp_path / "song_predicted.wav", dtype="float32")
    received, _ = soundfile.read(tmp_path / "song_input.wav", dtype="float32")
    np.testing.assert_array_equal(received, song)
    assert rate == FS and len(heard) == len(song)
    source, firsts = rendering_source(model.spec), np.rint(starts_of(found["song.wav"]) * FS).astype(int)
    assert not heard[: firsts[0]].any()
    for first, one in zip(firsts, found["song.wav"], strict=True):
        alone = source.synth.render(one.values[None])[: len(song) - first, 0]
        np.testing.assert_allclose(heard[first : first + 8000], alone, atol=1e-6)


def test_a_clip_that_the_next_one_covers_fades_out_within_10_ms(model, song, tmp_path):
    path = written(tmp_path / "in/song.wav", song)
    found, _ = predict_recordings(model, [path], None, segmentation("fixed", 0.5), tmp_path)
    heard, _ = soundfile.read(tmp_path / "song_predicted.wav", dtype="float32")
    source = rendering_source(model.spec)
    for one, following in zip(found["song.wav"][:-1], found["song.wav"][1:], strict=True):
        now, then = (source.synth.render(each.values[None])[:, 0] for each in (one, following))
        first = round(following.times[0] * FS)
        if following.times[0] - one.times[0] == 0.5:
            fading = now[4000:4080] * (1 - np.arange(80) / 80)
            np.testing.assert_allclose(heard[first : first + 80], then[:80] + fading, atol=1e-6)
        np.testing.assert_allclose(heard[first + 80 : first + 4000], then[80:4000], atol=1e-6)


def test_silent_segments_are_left_out_and_told(model, song, tmp_path, caplog):
    quiet = song.copy()
    quiet[16_000:32_000] = 0
    path = written(tmp_path / "song.wav", quiet)
    found, faults = predict_recordings(model, [path], None, segmentation("fixed"), None)
    assert not faults
    assert starts_of(found["song.wav"]).tolist() == [0, 1, 4, 5]
    assert "song.wav: silent segments left out: 2 of " in caplog.text


def test_what_cannot_be_predicted_is_one_line_a_file_and_the_others_are_predicted(model, song, tmp_path):
    (tmp_path / "text.wav").write_text("not a sound")
    paths = [tmp_path / "text.wav", written(tmp_path / "song.wav", song)]
    paths += [written(tmp_path / "silent.wav", 0 * song), written(tmp_path / "short.wav", song[4000:4010])]
    found, faults = predict_recordings(model, paths, None, segmentation("onsets"), None)
    assert list(found) == ["song.wav", "short.wav"]
    assert faults[0].startswith(f"{tmp_path / 'text.wav'}: not a sound file")
    remedy = "no onset found; lower onsets.threshold or onsets.floor, or give segment=fixed"
    assert faults[1:] == [f"{tmp_path / 'silent.wav'}: {remedy}"]
    found, faults = predict_recordings(model, paths[2:], None, segmentation("fixed"), None)
    assert [one.times for one in found["short.wav"]] == [(0, 10 / FS)]
    assert faults == [f"{tmp_path / 'silent.wav'}: silent (below -80 dB); raise its level"]


def test_the_search_for_onsets_takes_no_more_memory_for_a_longer_recording(tmp_path, monkeypatch):
    monkeypatch.setattr("src.spectral.audio_file._BLOCK_VALUES", 2**16)
    peaks = []
    for seconds in (60, 360):
        sound = (0.1 * np.random.default_rng(0).standard_normal(FS)).astype(np.float32)
        path = written(tmp_path / f"{seconds}.wav", np.tile(sound, seconds))
        tracemalloc.start()
        find_segments(path, FS, FS, None, segmentation("onsets"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 3e6  # the 300 s more are 9.6 MB of samples, and 0.2 MB of curve


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["segment=often"], "segment: 'often' given; "),
        (["segment=fixed", "hop=0"], "hop: 0 given; "),
        (["segment=onsets", "onsets.threshold=loud"], "onsets.threshold: 'loud' given; "),
        (["segment=onsets", "onsets.min_gap=-1"], "onsets.min_gap: -1 given; "),
    ],
)
def test_wrong_values_are_one_line(given, words):
    with pytest.raises(UserError, match=rf"^{words}"):
        parse_segmentation(running.composed("predict", *given))


def test_a_dataset_has_no_segments(trained, saw, tmp_path, caplog):
    given = (f"ckpt_path={trained.best}", f"input={saw}", "segment=fixed")
    message = running.fault(caplog, "predict", tmp_path, tmp_path / "out", *given)
    assert message == "segment: fixed given, but input is a dataset; give segment=null"


def test_the_command_writes_a_table_with_times_for_each_recording_of_a_folder(trained, song, tmp_path, capsys):
    written(tmp_path / "in/a.wav", song)
    written(tmp_path / "in/b.wav", song[: len(song) // 2])
    given = (f"ckpt_path={trained.best}", f"input={tmp_path / 'in'}", "segment=fixed", "hop=0.25")
    running.run("predict", tmp_path, tmp_path / "out", *given)
    with (tmp_path / "out/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["start", "end", "name", "note_velocity"] and "log10_decay_time_high_90" in rows[0]
    content = json.loads((tmp_path / "out/predictions.json").read_text())
    assert list(content["predictions"]) == [row["name"] for row in rows] == list(content["times"])
    for row in rows:
        assert content["times"][row["name"]] == pytest.approx([float(row["start"]), float(row["end"])], abs=1e-4)
        assert content["predictions"][row["name"]]["note_velocity"] == pytest.approx(
            float(row["note_velocity"]), rel=1e-5
        )
    names = {path.name for path in (tmp_path / "out").glob("*.wav")}
    assert names == {"a_input.wav", "a_predicted.wav", "b_input.wav", "b_predicted.wav"}
    table = capsys.readouterr().out
    assert table.index("a.wav") < table.index("b.wav") and max(map(len, table.splitlines())) <= 80
    count = sum(row["name"].startswith("a.wav") for row in rows)
    assert f"the first 20 of {count} segments; predictions.csv has all" in table


def test_a_table_of_few_segments_has_them_all(model, song, tmp_path, capsys):
    path = written(tmp_path / "song.wav", song)
    found, _ = predict_recordings(model, [path], None, segmentation("onsets"), None)
    print_segments("song.wav", found["song.wav"], model.spec.space, 0)
    out = capsys.readouterr().out
    assert out.startswith("song.wav\n") and "segments; predictions.csv" not in out
    for one in found["song.wav"]:
        assert f"{one.times[0]:.3f}" in out and f"[{one.low_90[0]:.0f}, {one.high_90[0]:.0f}]" in out
