"""The synth schema: what it builds, and that a fault is one line naming key, value and allowed range."""

import numpy as np
import pytest
from pydantic import ValidationError

from src.synth.config import SynthConfig, load_synth
from src.synth.parameters import ParameterSpec
from src.synth.saw_moog import SAW_MOOG, render
from src.synth.voice import Voice
from src.utils.errors import UserError

CUTOFF = {"min": 200, "step": 100, "max": 2000}
NAN_VOICE = Voice(
    name="broken",
    parameters=(ParameterSpec(name="level", min=0, max=1, default=0.5),),
    render=lambda p, sample_rate, num_samples: np.where(p["level"] > 0.9, np.nan, np.ones((num_samples, 1))),
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


def test_labels_keep_the_order_of_the_config():
    one = synth({"filter_cutoff": CUTOFF, "note_number": {"min": 40, "step": 7, "max": 54}})
    assert one.space.names == ("filter_cutoff", "note_number")


def test_unit_and_description_come_from_the_voice_and_the_scale_may_be_given():
    (spec,) = synth({"filter_cutoff": {**CUTOFF, "scale": "log"}}).space
    assert (spec.unit, spec.scale, spec.default) == ("Hz", "log", 1000) and spec.description


def test_render_is_the_voice_with_its_settings():
    one = synth({"filter_cutoff": CUTOFF}, settings={"oscillator": "naive", "drive": 0})
    values = np.array([[300.0], [1500.0]])
    audio = one.render(values)
    assert audio.shape == (800, 2)
    expected = render(one.space.complete(values), 8000, 800, "naive", 0.0)
    np.testing.assert_array_equal(audio, expected)
    assert not np.array_equal(audio, synth({"filter_cutoff": CUTOFF}).render(values))


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
        ({"filter_cutoff": {"value": 500}}, ["synth.parameters: none of them varies"]),
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


def test_non_finite_samples_name_the_parameters_that_gave_them():
    broken = synth({"level": {"min": 0, "step": 0.1, "max": 1}}, voice="tests.synth.test_config.NAN_VOICE")
    assert broken.render([[0.2], [0.5]]).shape == (800, 2)
    with pytest.raises(UserError, match=r"voice broken renders non-finite samples for \{'level': 0\.95\}"):
        broken.render([[0.2], [0.95], [0.5]])
