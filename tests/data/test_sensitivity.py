"""The blind report: labels that the image cannot carry are named, and no others."""

import logging

import numpy as np
import pytest

from src.data.generate import generate
from src.data.recipe import parse_recipe
from src.data.sensitivity import describe_blind, measure_sensitivity
from src.data.source import load_source
from src.data.spec import read_spec
from tests import running
from tests.data.conftest import TINY, tiny_recipe

NOTES = {"min": 60, "step": 1, "max": 127}  # at 8 kHz the saw has no partial from 107 on


def report(*overrides):
    source = load_source(parse_recipe(running.recipe(*overrides)))
    return {row["name"]: row for row in measure_sensitivity(source)}


def blind(rows):
    return {name for name, row in rows.items() if row["blind"]}


def test_the_definition_on_a_voice_whose_image_is_known(monkeypatch):
    """Median over samples of the mean absolute change: computed one sample and one step at a time."""
    source = load_source(tiny_recipe())
    space = source.synth.space
    values = space.sample(0, 0, 9).astype(np.float64)
    here = source.images(values)[0].astype(int)
    rows = measure_sensitivity(source, 9)
    for column, spec in enumerate(space):
        steps, ranges = [], []
        for number in range(9):
            moved = values[number : number + 1].repeat(3, axis=0)
            up = values[number, column] + spec.step <= spec.max
            moved[:, column] = (values[number, column] + (spec.step if up else -spec.step), spec.min, spec.max)
            stepped, low, high = source.images(moved)[0].astype(int)
            steps.append(np.abs(stepped - here[number]).mean())
            ranges.append(np.abs(high - low).mean())
        assert rows[column]["name"] == spec.name
        assert rows[column]["step_levels"] == pytest.approx(np.median(steps), abs=1e-4)
        assert rows[column]["range_levels"] == pytest.approx(np.median(ranges), abs=1e-4)


def test_simple_saw_classics_velocity_is_blind():
    rows = report("synth=simple_saw_classic")
    assert blind(rows) == {"note_velocity"}
    # 126..127 is 0.0687 dB of the 80 dB in 255 levels: 0.22 of one level
    assert rows["note_velocity"]["range_levels"] < 20 * np.log10(127 / 126) * 255 / 80 + 0.1


def test_an_envelope_of_amount_0_makes_its_times_blind():
    rows = report("synth=moog_envelope", "+synth.parameters.filter_env_amount.value=0")
    unheard = {f"filter_env_{stage}" for stage in ("attack", "decay", "sustain", "release")}
    assert blind(rows) == unheard
    assert all(rows[name]["step_levels"] == rows[name]["range_levels"] == 0 for name in unheard)
    text = describe_blind(rows["filter_env_attack"])
    assert text.startswith("filter_env_attack does not reach the image: ") and "\n" not in text
    assert "fix the parameter" in text


def test_per_sample_scaling_makes_velocity_blind():
    assert blind(report("synth=simple_saw")) == set()
    assert blind(report("synth=simple_saw", "spectral.image_scaling=per_sample")) == {"note_velocity"}


def test_generation_warns_and_stores_what_is_blind(tmp_path, caplog):
    changes = {"spectral.image_scaling": "per_sample"}
    with caplog.at_level(logging.WARNING):
        directory, spec = generate(tiny_recipe(**changes), tmp_path)
    assert [line.getMessage() for line in caplog.records] == [describe_blind(spec.sensitivity[0])]
    assert "note_velocity does not reach the image" in caplog.text
    assert read_spec(directory).sensitivity == spec.sensitivity
    assert [row["blind"] for row in spec.sensitivity] == [True, False]


def test_a_grids_first_corner_is_not_what_is_measured():
    """There the envelope's sustain is 0, and its release then moves nothing."""
    given = ("synth=moog_envelope", "dataset.size=512")
    assert report(*given, "dataset.sampling=grid") == report(*given)


def test_a_range_that_goes_beyond_what_sounds_is_told(tmp_path, caplog):
    within, beyond = (
        report("synth=moog_basic", f"synth.parameters.filter_cutoff.max={top}")["filter_cutoff"]
        for top in (3600, 5000)  # the ladder ends at 0.45 of the sample rate
    )
    assert within["unmoved"] == 0 and 0.2 < beyond["unmoved"] < 0.4 and not beyond["blind"]
    changes = {"synth.parameters": TINY["synth"]["parameters"] | {"note_number": NOTES}}
    with caplog.at_level(logging.WARNING):
        generate(tiny_recipe(**changes), tmp_path)
    assert any(line.startswith("note_number: a step changes nothing at all in ") for line in caplog.messages)
