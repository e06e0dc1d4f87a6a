"""The synth schema: what it builds, and that a fault is one line naming key, value and allowed range."""

import numpy as np
import pytest
from pydantic import ValidationError

from src.parameters.spec import ParameterSpec
from src.synth.config import SynthConfig, load_synth
from src.synth.saw_moog import SAW_MOOG, render
from src.synth.voice import Voice
from src.utils.errors import UserError

CUTOFF = {"min": 200, "step": 100, "max": 2000}
NAN_VOICE = Voice(
    name="broken",
    parameters=(ParameterSpec(name="level", min=0, max=1, default=0.5),),
    render=lambda p, sample_rate, num_samples: np.where(p["level"] > 0.9, np.nan, np.ones((num_samples, 1))),
)
WAVES = ("sine", "triangle", "square", "saw")
NAMED_VOICE = Voice(
    name="named",
    parameters=(
        ParameterSpec(name="wave", values=WAVES, default=2, description="shape of the oscillator"),
        ParameterSpec(name="octave", min=-1, max=2, kind="categorical", default=0),
        ParameterSpec(name="level", min=0, max=1, default=0.5),
    ),
    render=lambda p, sample_rate, num_samples: np.ones((num_samples, 1)) * p["wave"],
)
NO_VOICE = "not a voice"


def synth(parameters, **more):
    config = {"name": "t", "voice": "src.synth.saw_moog.SAW_MOOG", "sample_rate": 8000, "duration": 0.1, **more}
    return load_synth(SynthConfig(**config, parameters=parameters))


def test_varying_fixed_and_defaulted_parameters():
    one = synth({"filter_cutoff": CUTOFF, "note_number": {"value": 60}})
    assert one.space.names == ("filter_cutoff",)
    assert one.space.num_classes == (19,)
    defaults = {spec.name: spec.default for spec in SAW_MOOG.parameters if spec.name != "filter_cutoff"}
    assert one.space.fixed == {**defaults, "note_number": 60}


def test_a_value_fixes_what_varies_and_null_lets_it_vary():
    notes = {"min": 40, "step": 7, "max": 54}
    assert synth({"filter_cutoff": CUTOFF, "note_number": notes | {"value": 47}}).space.fixed["note_number"] == 47
    assert "note_number" in synth({"filter_cutoff": CUTOFF, "note_number": notes | {"value": None}}).space.names


PRESET_VOICE = Voice(
    name="with_presets",
    parameters=NAMED_VOICE.parameters,
    render=NAMED_VOICE.render,
    presets={"loud": {"level": 0.9, "wave": "saw"}, "low": {"octave": -1}},
)


def preset_synth(parameters, preset):
    return synth(parameters, voice="tests.synth.test_config.PRESET_VOICE", preset=preset)


def test_a_preset_sets_what_the_config_does_not():
    octave = {"octave": {"min": -1, "max": 2}}
    assert preset_synth(octave, "loud").space.fixed == {"level": 0.9, "wave": 3}
    assert preset_synth(octave, None).space.fixed == {"level": 0.5, "wave": 2}
    both = preset_synth(octave | {"level": {"min": 0, "max": 1}, "wave": {"value": "sine"}}, "loud").space
    assert both.names == ("octave", "level") and both.fixed == {"wave": 0}
    assert preset_synth({"level": {"min": 0, "max": 1}}, "low").space.fixed == {"wave": 2, "octave": -1}


def test_a_config_without_a_preset_is_that_of_older_programs():
    assert "preset" not in preset_synth({"level": {"min": 0, "max": 1}}, None).config.model_dump()
    assert preset_synth({"level": {"min": 0, "max": 1}}, "low").config.model_dump()["preset"] == "low"


def test_an_unknown_preset_is_told():
    with pytest.raises(UserError, match=r"^synth\.preset: voice with_presets has no preset 'lod'.*'loud'"):
        preset_synth({"level": {"min": 0, "max": 1}}, "lod")
    with pytest.raises(UserError, match=r"^synth\.preset: voice saw_moog has no preset 'lod'\. It has none; leave"):
        synth({"filter_cutoff": CUTOFF}, preset="lod")


def test_labels_keep_the_order_of_the_config():
    one = synth({"filter_cutoff": CUTOFF, "note_number": {"min": 40, "step": 7, "max": 54}})
    assert one.space.names == ("filter_cutoff", "note_number")


def test_unit_and_description_come_from_the_voice_and_the_scale_may_be_given():
    (spec,) = synth({"filter_cutoff": {**CUTOFF, "scale": "log"}}).space
    assert (spec.unit, spec.scale, spec.default) == ("Hz", "log", 1000) and spec.description


def test_a_parameter_without_a_default_must_be_given(monkeypatch):
    voice = Voice("bare", (ParameterSpec(name="level", min=0, max=1), *NAMED_VOICE.parameters[:1]), NAMED_VOICE.render)
    monkeypatch.setattr("tests.synth.test_config.NAMED_VOICE", voice)
    with pytest.raises(UserError, match=r"^synth.parameters.level: not given, and the voice has no default"):
        named({"wave": {"values": list(WAVES)}})


def test_render_is_the_voice_with_its_settings():
    one = synth({"filter_cutoff": CUTOFF}, settings={"oscillator": "naive", "drive": 0})
    values = np.array([[300.0], [1500.0]])
    audio = one.render(values)
    assert audio.shape == (800, 2)
    expected = render(one.space.complete(values), 8000, 800, "naive", 0.0)
    np.testing.assert_array_equal(audio, expected)
    assert not np.array_equal(audio, synth({"filter_cutoff": CUTOFF}).render(values))


def named(parameters):
    return synth(parameters, voice="tests.synth.test_config.NAMED_VOICE").space


@pytest.mark.parametrize(
    ("entry", "low", "high", "names"),
    [
        ({"values": list(WAVES)}, 0, 3, WAVES),
        ({"values": ["triangle", "square"]}, 1, 2, ("triangle", "square")),
        ({"min": 1, "max": 3}, 1, 3, WAVES[1:]),
        ({"values": list(WAVES), "value": None}, 0, 3, WAVES),
    ],
)
def test_categories_are_given_by_name_or_number(entry, low, high, names):
    (spec,) = named({"wave": entry})
    assert (spec.min, spec.max, spec.step, spec.kind, spec.values) == (low, high, 1, "categorical", names)
    assert (spec.num_classes, spec.default, spec.description) == (len(names), 2, "shape of the oscillator")


@pytest.mark.parametrize("value", ["square", 2])
def test_a_category_is_fixed_by_name_or_number(value):
    space = named({"wave": {"values": list(WAVES), "value": value}, "level": {"min": 0, "max": 1}})
    assert space.fixed["wave"] == 2 and space.specs[0].values == ("square",)
    left_out = named({"level": {"min": 0, "max": 1}})
    assert left_out.fixed["wave"] == 2 and {one.name: one.values for one in left_out.specs}["wave"] == ("square",)


def test_a_config_may_name_the_categories_of_a_voice_that_has_numbers():
    (spec,) = named({"octave": {"values": ["down", "as played", "up"]}})
    assert (spec.min, spec.max, spec.values) == (-1, 1, ("down", "as played", "up"))
    fixed = named({"octave": {"values": ["down", "as played", "up"], "value": "up"}, "level": {"min": 0, "max": 1}})
    assert fixed.fixed["octave"] == 1 and fixed.specs[0].values == ("up",)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"wave": {"values": ["sine", "sawtooth"]}}, ["wave.values: 'sawtooth' given", "known: sine, triangle"]),
        ({"wave": {"values": ["sine", "square"]}}, ["wave.values: ['sine', 'square'] given", "sine, triangle, square"]),
        ({"wave": {"values": ["square", "sine"]}}, ["give consecutive names in the order of sine, triangle"]),
        ({"wave": {"values": []}}, ["wave.values: [] given"]),
        ({"wave": {"value": "sawtooth"}}, ["wave.value: 'sawtooth' given", "known: sine"]),
        ({"wave": {"value": False}}, ["wave.value: False is neither a number nor a name", "YAML reads on, off"]),
        ({"wave": {"values": [True, False]}}, ["wave.values: True given", 'quote them, as in "on"']),
        ({"octave": {"values": [False, True]}}, ["octave.values", "False is not text", 'quote them, as in "on"']),
        ({"octave": {"values": ["a", "b"], "kind": "ordinal"}}, ["octave", "values are for categorical parameters"]),
        ({"octave": {"values": ["a", "a"]}}, ["octave.values", "without repetition"]),
        ({"octave": {"values": [*"abcdef"]}}, ["octave.max: 4 is outside -1..2"]),
        ({"octave": {"values": ["a", "b"], "max": 2}}, ["2 values do not fit min -1, max 2 and step 1"]),
        ({"level": {"value": "loud"}}, ["level.value: 'loud' is not a number"]),
    ],
)
def test_a_wrong_category_is_one_line(parameters, words):
    with pytest.raises(UserError) as raised:
        named(parameters)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


@pytest.mark.parametrize(
    ("key", "words"), [(True, 'YAML reads on, off, yes and no as true and false: quote them, as in "on":'), (7, '"7":')]
)
def test_a_name_that_yaml_reads_as_something_else_is_told(key, words):
    with pytest.raises(ValidationError) as raised:
        synth({key: CUTOFF})
    (fault,) = raised.value.errors()
    assert fault["loc"] == ("parameters",) and f"a parameter is named {key}" in fault["msg"] and words in fault["msg"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"filter_cutof": CUTOFF}, ["synth.parameters.filter_cutof", "Did you mean 'filter_cutoff'?"]),
        ({"filter_cutoff": {"min": 10, "step": 1, "max": 99}}, ["filter_cutoff.min: 10 ", "20..20000 Hz"]),
        ({"filter_cutoff": {"min": 20, "step": 1, "max": 3e4}}, ["filter_cutoff.max: 30000 ", "20..20000 Hz"]),
        ({"note_number": {"value": 128}}, ["note_number.min: 128 ", "0..127 MIDI note"]),
        ({"filter_cutoff": {"min": "low", "max": 99}}, ["filter_cutoff.min: 'low'", "not a number"]),
        ({"filter_cutoff": {"max": 99}}, ["filter_cutoff.min", "give min, step and max, or value"]),
        ({"filter_cutoff": {"min": True, "max": 99}}, ["filter_cutoff.min: True"]),
        ({"filter_cutoff": {"min": 99, "step": 1, "max": 20}}, ["synth.parameters.filter_cutoff", "99", "20"]),
        ({"filter_cutoff": {**CUTOFF, "step": 5000}}, ["synth.parameters.filter_cutoff", "step 5000", "1800"]),
        ({"filter_cutoff": {**CUTOFF, "step": -5}}, ["filter_cutoff.step: -5 given", "greater than or equal to 0"]),
        ({"filter_cutoff": {**CUTOFF, "stepp": 5}}, ["filter_cutoff.stepp: 5 given", "not permitted"]),
        ({"filter_cutoff": {**CUTOFF, "scale": "exp"}}, ["filter_cutoff.scale: 'exp' given", "'lin' or 'log'"]),
        ({"filter_cutoff": {"value": 500}}, ["synth.parameters: no parameter varies"]),
    ],
)
def test_bad_parameter_is_one_line_naming_key_value_and_range(parameters, words):
    with pytest.raises(UserError) as raised:
        synth(parameters)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"settings": {"oscilator": "naive"}}, ["synth.settings.oscilator", "Did you mean 'oscillator'?"]),
        ({"settings": {"volume": 3}}, ["synth.settings.volume", "Known: drive, oscillator."]),
        ({"voice": "src.synth.saw_moog.SAW"}, ["synth.voice", "'src.synth.saw_moog.SAW'", "give module.NAME"]),
        ({"voice": "src.synth.no_such.VOICE"}, ["synth.voice", "no_such"]),
        ({"voice": "VOICE"}, ["synth.voice", "'VOICE'"]),
        ({"voice": "tests.synth.test_config.NO_VOICE"}, ["synth.voice", "is a str"]),
    ],
)
def test_bad_voice_or_setting_is_one_line(more, words):
    with pytest.raises(UserError) as raised:
        synth({"filter_cutoff": CUTOFF}, **more)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        ({"sample_rate": 10}, "sample_rate", "greater than or equal to 1000"),
        ({"sample_rate": 1e6}, "sample_rate", "less than or equal to 192000"),
        ({"duration": 0}, "duration", "greater than 0"),
        ({"duration": float("inf")}, "duration", "finite"),
        ({"name": "a b"}, "name", "pattern"),
        ({"durations": 2}, "durations", "not permitted"),
    ],
)
def test_schema_names_key_and_limit(more, key, words):
    with pytest.raises(ValidationError) as raised:
        synth({"filter_cutoff": CUTOFF}, **more)
    (fault,) = raised.value.errors()
    assert fault["loc"] == (key,) and words in fault["msg"]


@pytest.mark.parametrize(
    "change", [{"settings": {"drive": 10**400}}, {"parameters": {"note_number": {"value": -(10**400)}}}]
)
def test_an_integer_that_no_float_holds_is_refused(change):
    given = {"name": "t", "voice": "v", "sample_rate": 8000, "duration": 0.1, "parameters": {}}
    with pytest.raises(ValidationError, match="is too large for a number of 64 bits"):
        SynthConfig(**given | change)


def test_non_finite_samples_name_the_parameters_that_gave_them():
    broken = synth({"level": {"min": 0, "step": 0.1, "max": 1}}, voice="tests.synth.test_config.NAN_VOICE")
    assert broken.render([[0.2], [0.5]]).shape == (800, 2)
    with pytest.raises(UserError, match=r"voice broken renders non-finite samples for \{'level': 0\.95\}"):
        broken.render([[0.2], [0.95], [0.5]])


@pytest.mark.parametrize("given", ["auto", {"auto": True}])
def test_auto_varies_all_parameters_but_those_of_the_note(given):
    one = synth(given)
    played = {"note_number", "note_velocity"}
    assert set(one.space.names) == {spec.name for spec in SAW_MOOG.parameters} - played
    assert one.config.auto is True and one.config.parameters == {}
    assert load_synth(SynthConfig.model_validate(one.config.model_dump())).space.names == one.space.names


def test_an_empty_entry_varies_a_parameter_over_all_that_its_voice_allows():
    one = synth({"filter_cutoff": {}, "filter_resonance": {"value": 0}})
    assert one.space.names == ("filter_cutoff",) and one.space.varying[0] == SAW_MOOG.spec("filter_cutoff")


def test_auto_leaves_what_is_given_as_it_is():
    one = synth(
        {"auto": True, "filter_cutoff": CUTOFF, "note_number": {"min": 40, "max": 52}, "filter_resonance": {"value": 0}}
    )
    assert {"filter_cutoff", "note_number"} <= set(one.space.names) and "filter_resonance" not in one.space.names
    assert one.space.varying[one.space.index("filter_cutoff")].num_classes == 19
    assert synth({"auto": False, "filter_cutoff": CUTOFF}).space.names == ("filter_cutoff",)


def test_a_config_without_a_source_is_written_without_its_keys():
    plain = synth({"filter_cutoff": CUTOFF}).config.model_dump()
    assert not {"source", "engine", "auto", "preset"} & plain.keys()
