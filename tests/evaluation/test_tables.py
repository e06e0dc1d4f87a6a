"""The printed tables hold the figures, whole, also where there is no terminal."""

import numpy as np
import pytest

from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.data.spec import read_spec
from src.evaluation.evaluate import Evaluation, HeadRow
from src.evaluation.predict import Prediction
from src.evaluation.rerender import ImageError
from src.evaluation.tables import print_evaluation, print_predictions, print_sensitivity
from tests import running


@pytest.fixture(scope="module")
def space():
    """The ten parameters of moog_envelope."""
    return load_source(parse_recipe(running.recipe("synth=moog_envelope"))).synth.space


def cells(line):
    return [cell.strip() for cell in line.split("│")[1:-1]]


def prediction(name, values):
    return Prediction(name, values, values / 7, values - 1, values + 1)


def test_one_sound_is_a_row_a_parameter(space, capsys):
    values = space.sample(0, 0)
    ends = [values - 0.5, values + 0.25]
    ends[0][3] = ends[1][3] = np.nan  # as of a category
    print_predictions([Prediction("a.wav", values, values / 7, *ends)], space, 1638)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [cells(line) for line in lines if line.startswith("│")]
    expected = [
        [one.name, f"{value:.4g}", f"{value / 7:.2g}", f"{value - 0.5:.4g} .. {value + 0.25:.4g}", one.unit]
        for one, value in zip(space, values, strict=True)
    ]
    expected[3][3] = ""
    assert rows == expected
    assert "1,638 validation sounds" in " ".join(" ".join(lines).split())
    print_predictions([prediction("a.wav", values)], space, 0)
    assert "rough, never calibrated" in " ".join(capsys.readouterr().out.split())


def test_many_sounds_are_a_row_each_and_no_name_or_figure_is_cut(space, capsys):
    values = space.sample(0, 0, 3)
    names = [f"a_rather_long_name_of_a_recording_{at}.wav" for at in range(3)]
    print_predictions([prediction(name, row) for name, row in zip(names, values, strict=True)], space, 0)
    out = capsys.readouterr().out
    assert "…" not in out and all(name in out for name in space.names)
    rows = [cells(line) for line in out.splitlines() if line.startswith("│")]
    assert rows == [[name, *(f"{value:.4g}" for value in row)] for name, row in zip(names, values, strict=True)]
    assert max(map(len, out.splitlines())) < 300  # not padded to some width


def test_of_very_many_sounds_the_first_are_shown(space, capsys):
    print_predictions([prediction(f"{at}.wav", space.sample(0, at)) for at in range(25)], space, 0)
    out = capsys.readouterr().out
    assert "19.wav" in out and "20.wav" not in out
    assert "the first 20 of 25" in out


def test_evaluation_shows_each_error_beside_floor_and_baseline(capsys):
    rows = (
        HeadRow("cutoff", "Hz", 12.5, 0.25, 500.0, 0.625, 0.875),
        HeadRow("decay", "log10 s", 0.01, 0.002, 0.5, 1.0, 1.0),
    )
    print_evaluation(Evaluation("vimh-x", 13, {}, rows, ImageError(1.5, 0.25, 15.0)))
    out = capsys.readouterr().out
    found = [cells(line) for line in out.splitlines() if line.startswith("│")]
    assert found == [
        ["cutoff", "Hz", "12.5", "0.25", "500", "2.5 %", "62.5 %", "87.5 %"],
        ["decay", "log10 s", "0.01", "0.002", "0.5", "2.0 %", "100.0 %", "100.0 %"],
        ["image, re-rendered", "dB", "1.5", "0.25", "15", "10.0 %", "", ""],
    ]
    assert "vimh-x: test split, 13 sounds" in out


def test_evaluation_without_a_synth_has_no_image_row(capsys):
    print_evaluation(Evaluation("x", 1, {}, (HeadRow("a", "", 0.1, 0.0, 0.0, 1.0, 1.0),), None))
    out = capsys.readouterr().out
    assert "re-rendered" not in out
    assert "nan" in out  # a share of a baseline of nothing


def test_sensitivity_flags_what_is_blind(saw, capsys):
    spec = read_spec(saw)
    spec.sensitivity[0]["blind"] = True
    print_sensitivity(spec, saw, 1.25)
    out = capsys.readouterr().out
    rows = {row[0]: row for row in (cells(line) for line in out.splitlines() if line.startswith("│"))}
    assert rows["note_velocity"][:4] == ["note_velocity", "64..127 by 7", "MIDI velocity", "10"]
    assert rows["note_velocity"][-1] == "BLIND" and "BLIND" not in rows["log10_decay_time"]
    figures = [f"{spec.sensitivity[1][key]:.2f}" for key in ("step_levels", "range_levels")]
    assert rows["log10_decay_time"][4:6] == figures
    assert "128 samples (102 train, 13 val, 13 test) in 1.2 s" in out
    assert np.isfinite([float(figure) for figure in figures]).all()
