"""The tables hold the figures: on a screen of 80 columns as far as there is room, and whole in files."""

import json
from dataclasses import replace

import numpy as np
import pytest

from src.data.info import read_spec
from src.data.inputs import Inputs
from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.data.spec import DatasetSpec, Origin
from src.data.spec_schema import Sensitivity
from src.evaluation.confusion import Confusion
from src.evaluation.evaluate import CategoryRow, Evaluation, HeadRow, ImageError
from src.evaluation.predict import Prediction
from src.evaluation.tables import print_evaluation, print_predictions, print_sensitivity, write_evaluation
from src.parameters.space import ParameterSpace
from tests import running
from tests.evaluation.datasets import SPACE


@pytest.fixture(scope="module")
def space():
    """The ten parameters of moog_envelope."""
    return load_source(parse_recipe(running.recipe("synth=moog_envelope"))).synth.space


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture(params=[40, 80, 200])
def width(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def rows_of(out):
    """Return the words of each line below the headings."""
    lines = out.splitlines()
    return [line.split() for line in lines[next(at for at, line in enumerate(lines) if "──" in line) + 1 :]]


def head_row(name="cutoff", unit="Hz", **changes):
    intervals = {"mae": (11.3, 13.8), "baseline": (470.0, 530.0), "relative_mae": (0.022, 0.028)}
    intervals |= {"accuracy": (0.58, 0.67), "within_one_step": (0.84, 0.9)}
    given = {"mae": 12.53, "baseline": 501.2, "relative_mae": 0.025, "label_rounding": None, "accuracy": 0.625}
    return HeadRow(**{"name": name, "unit": unit, "within_one_step": 0.875, "intervals": intervals, **given, **changes})


def evaluation_of(rows=(), categories=(), image=None, count=1638):
    return Evaluation("vimh-x", count, 0.02, (0.01, 0.03), {}, tuple(rows), tuple(categories), image)


def category_row(names=("sine", "saw", "square"), name="wave"):
    count = len(names)
    counts = [(at, at, 7) for at in range(count)] + [(at, (at + 1) % count, at + 1) for at in range(count)]
    intervals = {"accuracy": (0.7, 0.9), "baseline_accuracy": (0.3, 0.5)}
    return CategoryRow(name, 0.8123, 0.4, intervals, Confusion(tuple(names), tuple(counts)))


IMAGE = ImageError(1.53, 15.2, 0.1, None, {"mae": (1.4, 1.7), "baseline": (14.0, 16.0), "relative_mae": (0.09, 0.11)})


def test_a_wide_screen_shows_every_figure_with_the_digits_of_its_interval(wide, capsys):
    print_evaluation(evaluation_of([head_row()], image=IMAGE))
    out = capsys.readouterr().out
    assert "vimh-x: test split, 1,638 sounds" in out and "No room" not in out
    row, _, image, *_ = rows_of(out)
    expected = "cutoff Hz 13 11..14 500 470..530 2.5 % 2.2..2.8 % 62 % 58..67 % 88 % 84..90 %"
    assert " ".join(row) == expected
    assert " ".join(image) == "image, re-rendered dB 1.5 1.4..1.7 15 14..16 10 % 9..11 %"


def test_80_columns_show_what_matters_most_whole_and_name_the_rest(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    names = ("note_velocity", "log10_decay_time", "filter_cutoff", "filter_resonance")
    print_evaluation(evaluation_of([head_row(name, "MIDI velocity") for name in names], image=IMAGE))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert all(name in out for name in names)
    assert out.count("11..14") == 4 and out.count("2.5 %") == 4 and out.count("62 %") == 4
    left_out = "No room for: mean baseline, other 95 % intervals; test_results.md has all columns."
    assert left_out in " ".join(out.split())


def test_labels_have_a_column_of_their_rounding_error_only_where_they_are_rounded(wide, capsys):
    print_evaluation(evaluation_of([head_row()]))
    assert "label rounding error" not in capsys.readouterr().out
    print_evaluation(evaluation_of([head_row(label_rounding=0.1234)]))
    out = capsys.readouterr().out
    assert "label rounding error" in out and "0.12" in rows_of(out)[0]


def test_the_image_limit_has_a_column_where_it_is_known(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    evaluation = evaluation_of([head_row(), head_row("resonance", image_limit=0.2051)])
    print_evaluation(evaluation)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "limit" in out.split("──")[0] and "0.21" in rows_of(out)[1] and "0.21" not in rows_of(out)[0]
    assert "image limit: the least MAE that the images allow" in " ".join(out.split())
    write_evaluation(evaluation, tmp_path)
    assert "| image limit |" in (tmp_path / "test_results.md").read_text()
    assert json.loads(evaluation.to_json())["rows"][1]["image_limit"] == 0.2051
    print_evaluation(evaluation_of([head_row()]))
    assert "limit" not in capsys.readouterr().out


def test_one_sound_has_figures_and_no_intervals(wide, capsys):
    intervals = dict.fromkeys(("mae", "baseline", "relative_mae"))
    print_evaluation(evaluation_of([head_row(relative_mae=None, intervals=intervals)], count=1))
    row = rows_of(capsys.readouterr().out)[0]
    assert row[:7] == ["cutoff", "Hz", "13", "-", "500", "-", "-"] and "nan" not in row


def test_categories_have_accuracies_and_a_confusion_table(width, capsys):
    print_evaluation(evaluation_of([head_row()], [category_row()]))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    lines = [line.split() for line in out.splitlines()]
    assert any(line[:1] == ["wave"] and {"81", "70..90"} <= set(line) for line in lines)
    for line in (["sine", "7", "1", "0"], ["saw", "0", "7", "2"], ["square", "3", "0", "7"]):
        assert line in lines


def test_of_many_categories_the_most_frequent_mistakes_are_listed(width, capsys, tmp_path):
    evaluation = evaluation_of(categories=[category_row([f"waveform_{at}" for at in range(40)])])
    print_evaluation(evaluation)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "the most frequent mistakes" in " ".join(out.split())
    lines = [line.split() for line in out.splitlines()]
    assert ["waveform_39", "waveform_0", "40", *(["47"] if width > 40 else [])] in lines
    assert "waveform_20" not in out  # ten of them
    write_evaluation(evaluation, tmp_path)
    assert "| waveform_0 | waveform_1 | 1 | 8 |" in (tmp_path / "test_results.md").read_text()


def test_files_hold_all_columns_whatever_the_screen(width, tmp_path):
    evaluation = evaluation_of([head_row(label_rounding=0.1)], [category_row()], IMAGE)
    write_evaluation(evaluation, tmp_path)
    text = (tmp_path / "test_results.md").read_text()
    assert "# vimh-x: test split, 1,638 sounds\n" in text
    assert (
        "| cutoff | Hz | 13 | 11..14 | 0.10 | 500 | 470..530 | 2.5 % | 2.2..2.8 % | 62 % | 58..67 % | 88 % | 84..90 % |"
    ) in text
    assert "| saw | 0 | 7 | 2 |" in text and "relative MAE: MAE / mean baseline." in text
    assert (tmp_path / "test_results.json").read_bytes() == evaluation.to_json()
    assert json.loads(evaluation.to_json())["rows"][0]["intervals"]["mae"] == [11.3, 13.8]


@pytest.mark.parametrize("count", [1, 40])
def test_names_and_units_that_a_screen_could_misread_are_text(width, count, capsys, tmp_path):
    rows = [head_row(f"{one.name}{at}", one.unit) for one in SPACE for at in range(count)]
    categories = [category_row(("[b]", ":bomb:", "\x1b[31m"), "wave[/]")]
    evaluation = evaluation_of(rows, categories)
    print_evaluation(evaluation)
    write_evaluation(evaluation, tmp_path)
    out = capsys.readouterr().out
    squeezed = "".join(out.split())
    for name in ("gain[/]", "wave:bomb:", "$octave_", "wave[/]", "[b]", "\\x1b[31m"):
        assert name in squeezed
    if width == 200:
        assert "<script>alert(1)</script>0" in out and "<i>dB</i> [red]" in out
    assert "\x1b" not in out and max(map(len, out.splitlines())) <= width
    written = (tmp_path / "test_results.md").read_text()
    assert "<script" not in written.replace(r"\<script", "") and r"gain\[/\]0" in written


def prediction(name, values, uncertainties):
    """Return a prediction with an interval of 0.5 below and 0.25 above its values, none where nothing is known."""
    unknown = np.where(np.isnan(uncertainties), np.nan, 0)
    return Prediction(name, values, uncertainties, values - 0.5 + unknown, values + 0.25 + unknown)


def written(value):
    """Return the text of a value and its interval in `prediction`, without a sign before 0."""
    value, low, high = (f"{number:.1f}" for number in (value, value - 0.5, value + 0.25))
    return f"{value} [{low}, {high}]".replace("-0.0", "0.0")


def test_one_sound_is_a_row_a_parameter(space, wide, capsys):
    values = space.sample(0, 0)
    print_predictions([prediction("kick [alt] :bomb:.wav", values, values / 7)], space, 1638)
    out = capsys.readouterr().out
    assert out.startswith("kick [alt] :bomb:.wav\n")
    expected = []
    for one, value in zip(space, values, strict=True):
        numbers = f"{written(value)} {value / 7:.2g}"
        expected.append([one.name, *numbers.split(), *one.unit.split()])
    assert [row for row in rows_of(out) if row][:-2] == expected  # without the caption


def test_several_sounds_are_a_row_each_with_intervals(space, wide, capsys):
    values = space.sample(0, 0, 3)
    names = [f"a_recording_{at}.wav" for at in range(3)]
    print_predictions([prediction(name, row, row / 7) for name, row in zip(names, values, strict=True)], space, 1638)
    rows = [row for row in rows_of(capsys.readouterr().out) if row][:-1]  # without the caption
    expected = [" ".join(map(written, row)) for row in values]
    assert [" ".join(row) for row in rows] == [f"{name} {line}" for name, line in zip(names, expected, strict=True)]


def test_many_parameters_of_several_sounds_fit_any_width(space, width, capsys):
    values = space.sample(0, 0, 4)
    names = [f"a_rather_long_name_of_a_recording_{at}.wav" for at in range(4)]
    print_predictions([prediction(name, row, row / 7) for name, row in zip(names, values, strict=True)], space, 1638)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    for value in values.ravel():
        assert written(value) in out


def test_two_sounds_of_many_parameters_go_down_the_page_where_only_that_fits(space, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    values = space.sample(0, 0, 2)
    print_predictions([prediction(f"{at}.wav", row, row / 7) for at, row in enumerate(values)], space, 1638)
    rows = {row[0]: row for row in rows_of(capsys.readouterr().out) if row}
    assert set(space.names) <= set(rows)
    assert (
        rows["filter_cutoff"][:2] == ["filter_cutoff", "[Hz]"] and len(rows["filter_cutoff"]) == 8
    )  # two values with intervals


def test_of_very_many_sounds_the_first_are_shown(space, capsys):
    sounds = [prediction(f"{at}.wav", space.sample(0, at), np.zeros(len(space))) for at in range(25)]
    print_predictions(sounds, space, 1638)
    out = capsys.readouterr().out
    assert "19.wav" in out and "20.wav" not in out
    assert "the first 20 of 25 sounds; predictions.csv has all" in out


def test_an_uncertainty_that_is_not_known_is_blank_and_a_category_has_a_name_and_a_probability(wide, capsys):
    space = ParameterSpace(list(SPACE)[:2])
    both = [prediction(name, np.array([-7.5, 2.0]), np.array([np.nan, 0.25])) for name in "ab"]
    print_predictions(both[:1], space, 1638)
    out = capsys.readouterr().out
    assert rows_of(out)[0] == ["gain[/]", "-7.5", "<i>dB</i>", "[red]"]
    assert rows_of(out)[1] == ["wave", ":bomb:", "2", "25", "%"]
    assert "+- of a category: the probability that it is wrong" in out
    assert "fitted to the errors on 1,638 validation sounds" in out
    print_predictions(both, space, 1638)
    assert rows_of(capsys.readouterr().out)[0] == ["a", "-7.5", "2", "+-", "25", "%"]


def test_uncertainties_that_were_never_calibrated_are_said_to_be_rough(wide, capsys):
    space = ParameterSpace(list(SPACE)[:2])
    print_predictions([prediction("a.wav", np.array([-7.5, 2.0]), np.array([0.5, 0.25]))], space, 0)
    assert "[low, high]: 90 % interval, rough, since it is not calibrated" in capsys.readouterr().out


def test_generation_says_which_parameter_has_no_measurable_effect(saw, width, capsys):
    spec = read_spec(saw)
    print_sensitivity(spec, saw, 1.25)
    assert "effect" not in capsys.readouterr().out
    spec.origin.sensitivity[0].blind = True
    print_sensitivity(spec, saw, 1.25)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    told = " ".join(out.split())
    assert "128 clips (102 train, 13 val, 13 test) in 1.2 s" in told
    figures = [f"{levels:.2f}" for row in spec.origin.sensitivity for levels in (row.step_levels, row.range_levels)]
    assert all(figure in out for figure in figures)
    print_sensitivity(spec, saw)
    assert "were not written" in " ".join(capsys.readouterr().out.split())
    assert out.count("measurable") == 1 and "64..127 by 7" in out and "BLIND" not in out


def test_generation_shows_the_image_limit_where_it_is_known(saw, width, capsys):
    spec = read_spec(saw)
    print_sensitivity(spec, saw, 1.25)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert width == 40 or all(f"{row.limit_mae:.2g}" in out for row in spec.origin.sensitivity)
    rows = [row.model_copy(update={"limit_mae": None}) for row in spec.origin.sensitivity]
    print_sensitivity(replace(spec, origin=replace(spec.origin, sensitivity=rows)), saw, 1.25)
    assert "limit" not in capsys.readouterr().out


def test_generation_shows_the_number_of_categories(wide, capsys, saw):
    row = {"step_levels": 1.0, "range_levels": 9.0, "blind": False}
    origin = Origin(sensitivity=[Sensitivity(name=name, **row) for name in SPACE.names])
    kinds = DatasetSpec("x", Inputs((1, 8, 8)), SPACE, origin, {"train": 3})
    print_sensitivity(kinds, saw, 0.1)
    assert "4 categories" in capsys.readouterr().out
