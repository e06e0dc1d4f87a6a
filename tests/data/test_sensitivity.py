"""Labels without measurable effect are named with their cause, and nothing is written unless that is allowed."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from src.data.generate import generate
from src.data.info import read_spec
from src.data.recipe import parse_recipe
from src.data.sensitivity import NoEffectError, describe_blind, measure_sensitivity
from src.data.shards import make_shard
from src.data.source import load_source
from src.data.spec_schema import Sensitivity
from tests import running
from tests.data.conftest import TINY, tiny_recipe

NOTES = {"min": 60, "step": 1, "max": 127}  # at 8 kHz the saw has no partial from 107 on


def report(*overrides):
    source = load_source(parse_recipe(running.recipe(*overrides)))
    return {row.name: row for row in measure_sensitivity(source)}


def blind(rows):
    return {name for name, row in rows.items() if row.blind}


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
            value, factor = values[number, column], (spec.max / spec.min) ** (1 / (spec.num_classes - 1))
            up, down = (
                (value * factor, value / factor) if spec.scale == "log" else (value + spec.step, value - spec.step)
            )
            moved[:, column] = (up if up <= spec.max else down, spec.min, spec.max)
            stepped, low, high = source.images(moved)[0].astype(int)
            steps.append(np.abs(stepped - here[number]).mean())
            ranges.append(np.abs(high - low).mean())
        assert rows[column].name == spec.name
        assert rows[column].step_levels == pytest.approx(np.median(steps), abs=1e-4)
        assert rows[column].range_levels == pytest.approx(np.median(ranges), abs=1e-4)


def causes(*overrides):
    return {name: row.cause for name, row in report(*overrides).items() if row.blind}


def test_simple_saw_classics_velocity_has_no_measurable_effect():
    rows = report("synth=simple_saw_classic")
    assert blind(rows) == {"note_velocity"}
    # 126..127 is 0.0687 dB of the 80 dB in 255 levels: 0.22 of one level
    assert rows["note_velocity"].range_levels < 20 * np.log10(127 / 126) * 255 / 80 + 0.1
    assert describe_blind(rows["note_velocity"]).startswith(
        "note_velocity has no measurable effect because its range, 126..127 MIDI velocity, is too narrow: a step "
    )


def test_the_parameter_that_switches_others_off_is_the_cause():
    rows = report("synth=moog_envelope", "+synth.parameters.filter_env_amount.value=0")
    without = {f"filter_env_{stage}" for stage in ("attack", "decay", "sustain", "release")}
    assert blind(rows) == without
    for name in without:
        assert rows[name].step_levels == rows[name].range_levels == 0
        text = describe_blind(rows[name])
        assert text.startswith(f"{name} has no measurable effect because filter_env_amount is 0: ") and "\n" not in text
        assert text.endswith(f"; change this, or make {name} constant")


ATTACK = "+synth.parameters.filter_env_attack={min: 0, step: 0.1, max: 0.5}"
DECAY = "+synth.parameters.filter_env_decay={min: 0, step: 0.1, max: 0.5}"
RESONANCE = "+synth.parameters.filter_resonance={min: 0, step: 0.1, max: 0.5}"
TINY_AMOUNT = [f"synth.parameters.filter_env_amount.{key}={value}" for key, value in
               (("min", 0), ("step", 0.001), ("max", 0.002))]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["synth=simple_saw", RESONANCE], {"filter_resonance": "filter_enabled is 0"}),
        (["synth=moog_basic", ATTACK], {"filter_env_attack": "filter_env_amount is 0"}),
        (["synth=simple_saw", ATTACK], {"filter_env_attack": "filter_enabled is 0 and filter_env_amount is 0"}),
        # a sustain of 1 leaves the decay nothing to fall by
        (["synth=moog_basic", DECAY], {"filter_env_decay": "filter_env_sustain is 1 and filter_env_amount is 0"}),
        (
            ["synth=moog_basic", "+synth.parameters.note_velocity.value=0"],
            dict.fromkeys(["log10_decay_time", "filter_cutoff", "filter_resonance"], "note_velocity is 0"),
        ),
        (
            ["synth=moog_envelope", *TINY_AMOUNT],
            dict.fromkeys(
                [f"filter_env_{stage}" for stage in ("attack", "decay", "sustain", "release")],
                "filter_env_amount is 0..0.002 octaves",
            )
            | {"filter_env_amount": "its range, 0..0.002 octaves, is too narrow"},
        ),
        (["synth=simple_saw", "spectral.floor_db=-10"], {"note_velocity": ""}),  # all of it is below the floor
    ],
)
def test_causes_are_found_by_measuring(overrides, expected):
    assert causes(*overrides) == expected


def test_scaling_by_sample_takes_the_velocity_out_of_the_image_and_leaves_it_in_the_record():
    assert blind(report("synth=simple_saw")) == set()
    rows = report("synth=simple_saw", "spectral.image_scaling=per_sample")
    assert blind(rows) == {"note_velocity"}
    # the level of a record's darkest and brightest pixel goes with the velocity
    assert rows["note_velocity"].range_db == pytest.approx(20 * np.log10(127 / 64), abs=0.01)
    text = describe_blind(rows["note_velocity"])
    assert "because spectral.image_scaling=per_sample removes it from the image" in text and "auxiliary=film" in text


class Broken:
    """A voice that fails where its dataset never goes."""

    def __init__(self, voice):
        self.voice = voice

    def __call__(self, parameters, sample_rate, num_samples, **settings):
        audio = self.voice.render(parameters, sample_rate, num_samples, **settings)
        audio[:, parameters["filter_cutoff"] > 5000] = np.nan
        return audio


def test_a_voice_that_fails_beyond_the_datasets_ranges_has_no_cause(monkeypatch):
    source = load_source(parse_recipe(running.recipe("synth=simple_saw", RESONANCE)))
    broken = replace(source.synth.voice, render=Broken(source.synth.voice))
    source = replace(source, synth=replace(source.synth, voice=broken))
    (row,) = [row for row in measure_sensitivity(source) if row.blind]
    assert (row.name, row.cause) == ("filter_resonance", "")


@pytest.mark.long
def test_nothing_is_written_of_a_dataset_that_would_hold_a_lost_label(tmp_path):
    recipe = parse_recipe(running.recipe("synth=moog_basic", "dataset.size=64", ATTACK, DECAY))
    causes = "filter_env_attack has no measurable effect because filter_env_amount is 0: .*; filter_env_decay has no "
    with pytest.raises(NoEffectError, match=causes):
        generate(recipe, tmp_path)
    with pytest.raises(NoEffectError, match=causes):
        make_shard(recipe, tmp_path, 0, 1)
    assert not list(tmp_path.iterdir())
    directory, spec = generate(recipe, tmp_path, allow_blind=True)
    assert [row.blind for row in read_spec(directory).origin.sensitivity] == [False] * 4 + [True] * 2
    assert read_spec(directory).origin.sensitivity == spec.origin.sensitivity
    make_shard(recipe, tmp_path / "shards", 0, 1, allow_blind=True)


def test_labels_without_effect_for_one_reason_are_told_together():
    rows = [Sensitivity(name=name, blind=True, step_levels=0, range_levels=0, cause="a is 0") for name in "xyz"]
    assert (
        str(NoEffectError(rows))
        == "x, y and z have no measurable effect because a is 0; change this, or make them constant"
    )
    rows[0].cause = rows[1].cause = ""
    rows[2].blind = False
    assert str(NoEffectError(rows)).startswith(
        "x and y have no measurable effect; make them constant, or choose another front end"
    )


def test_generation_warns_of_what_only_the_db_range_tells_and_stores_it(tmp_path, caplog):
    changes = {"spectral.image_scaling": "per_sample"}
    with caplog.at_level(logging.WARNING):
        directory, spec = generate(tiny_recipe(**changes), tmp_path)
    assert [line.getMessage() for line in caplog.records] == [describe_blind(spec.origin.sensitivity[0])]
    assert "note_velocity has no measurable effect" in caplog.text
    assert read_spec(directory).origin.sensitivity == spec.origin.sensitivity
    assert [row.blind for row in spec.origin.sensitivity] == [True, False]


def test_a_grids_first_corner_is_not_what_is_measured():
    """There the envelope's sustain is 0, and its release then moves nothing."""
    given = ("synth=moog_envelope", "dataset.size=512")
    assert report(*given, "dataset.sampling=grid") == report(*given)


def test_a_range_that_goes_beyond_what_sounds_is_told(tmp_path, caplog):
    within, beyond = (
        report("synth=moog_basic", f"synth.parameters.filter_cutoff.max={top}")["filter_cutoff"]
        for top in (3600, 5000)  # the ladder ends at 0.45 of the sample rate
    )
    assert within.unmoved == 0 and 0.2 < beyond.unmoved < 0.4 and not beyond.blind
    changes = {"synth.parameters": TINY["synth"]["parameters"] | {"note_number": NOTES}}
    with caplog.at_level(logging.WARNING):
        generate(tiny_recipe(**changes), tmp_path)
    assert any(line.startswith("note_number: a step changes nothing at all in ") for line in caplog.messages)
