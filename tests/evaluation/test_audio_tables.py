"""The tables of an audio comparison fit a screen; the files hold every figure."""

from dataclasses import replace

import pytest

from src.evaluation.audio import AudioResults, AudioRow, Summary
from src.evaluation.audio_tables import audio_title, print_audio, write_audio
from src.evaluation.metrics.table import METRICS

NAMES = ("predicted", "refined", "exact labels", "byte labels", "image limit", "mean baseline")


def made_up(names=NAMES, distance=12.34):
    rows = []
    for at, name in enumerate(names):
        metrics = {metric: Summary(1.234 + at, 0.567 + at, (1.1 + at, 1.4 + at), 1638) for metric in METRICS}
        rows.append(AudioRow(name, metrics | {"f0_error": Summary(None, None, None, 0)}, distance))
    return AudioResults("set", 1638, 44100, 8000, tuple(rows), ("a note",))


def rows_of(out, metric):
    return [line.split() for line in out.splitlines() if line.startswith(metric)]


@pytest.mark.parametrize("names", [NAMES, [name for name in NAMES if name != "refined"]], ids=["refined", "predicted"])
def test_80_columns_hold_all_of_the_predictions_and_the_means_of_references(names, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    print_audio(made_up(names))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    *predictions, means = rows_of(out, "multi_resolution_stft")
    expected = [["lower", f"{1.2 + at:.1f}", f"{1.1 + at}..{1.4 + at}"] for at in range(len(names) - 4)]
    assert [line[1:4] for line in predictions] == expected
    assert [line[-2] for line in predictions] == ["0.57", "1.6"][: len(predictions)]
    for name in ("predicted", "refined", "image limit", "mean baseline"):
        if name in names:
            assert f"{1.2 + names.index(name):.1f}" in means
    assert "a note" in out


def test_a_wide_screen_shows_everything(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    print_audio(made_up())
    out = capsys.readouterr().out
    assert rows_of(out, "mss")[0] == ["mss", "dB", "lower", "1.2", "1.1..1.4", "0.57", "1638"]
    assert rows_of(out, "mss")[-1] == ["mss", "dB", *(f"{1.2 + at:.1f}" for at in range(len(NAMES)))]
    assert rows_of(out, "fad_logmel")[-1].count("12.3") == len(NAMES)
    assert rows_of(out, "f0_error")[0] == ["f0_error", "cents", "lower", "-", "-", "-", "0"]
    assert "No room" not in out


def test_the_title_says_the_rate():
    results = made_up()
    assert audio_title(results) == "set: 1,638 test sounds, 8,000 Hz resampled to 44,100 Hz"
    assert audio_title(replace(results, sample_rate=8000)) == "set: 1,638 test sounds, 8,000 Hz"


def test_files_hold_means_intervals_medians_and_counts(tmp_path):
    results = made_up()
    write_audio(results, tmp_path)
    assert (tmp_path / "audio_results.json").read_bytes() == results.to_json()
    text = (tmp_path / "audio_results.md").read_text()
    for name in NAMES:
        assert f"\n## {name}\n" in text
    assert text.count("| mss | dB | lower | 1.2 | 1.1..1.4 | 0.57 | 1638 |") == 1
    assert text.count("| fad_logmel | dB^2 | lower | 12.3 |") == len(NAMES)


def test_without_a_distance_of_sets_there_is_no_row_for_it(tmp_path):
    write_audio(made_up(distance=None), tmp_path)
    assert "fad_logmel" not in (tmp_path / "audio_results.md").read_text()
