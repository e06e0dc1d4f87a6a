"""Every coding of a parameter's values, there and back."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests.synth.references import repeatable

# (min, step, max) of every parameter of the shipped configs, and how many classes it has
RANGES = {
    (64, 7, 127): 10,  # simple_saw
    (-2, 0.1, 0.3): 24,
    (126, 0.5, 127): 3,  # simple_saw_classic
    (100, 5, 127): 6,  # moog_basic
    (-1, 0.1, 0): 11,
    (200, 100, 2000): 19,
    (0, 0.1, 0.9): 10,
    (36, 12, 60): 3,  # moog_envelope
    (100, 10, 127): 4,
    (0, 0.15, 0.6): 5,
    (80, 40, 400): 9,
    (0.3, 0.1, 0.85): 7,  # 5.5 steps round up; the last class is 0.85
    (0, 0.05, 0.3): 7,
    (0.1, 0.1, 1.5): 15,
    (0, 0.1, 0.6): 7,
    (0.1, 0.1, 1): 10,
    (1, 0.5, 4): 7,
    (40, 7, 54): 3,  # moog_resonance
    (110, 5, 127): 4,
    (-0.5, 0.2, 0.5): 6,
    (200, 150, 1400): 9,
    (0.5, 0.05, 0.95): 10,
}
every_range = pytest.mark.parametrize("low_step_high", RANGES, ids=str)


def spec(low, step, high, **more):
    return ParameterSpec(**{"name": "cutoff", "min": low, "step": step, "max": high, **more})


def space(low, step, high, **more):
    return ParameterSpace([spec(low, step, high, **more)])


@every_range
def test_num_classes_is_1_plus_the_rounded_number_of_steps(low_step_high):
    assert spec(*low_step_high).num_classes == RANGES[low_step_high]


@every_range
def test_every_class_round_trips(low_step_high):
    low, step, high = low_step_high
    one = space(*low_step_high)
    classes = np.arange(RANGES[low_step_high])[:, None]
    values = one.from_class(classes)
    np.testing.assert_allclose(values[:, 0], [min(low + k * step, high) for k in range(len(classes))], rtol=1e-12)
    np.testing.assert_array_equal(one.to_class(values), classes)
    np.testing.assert_array_equal(one.to_class(values.astype(np.float32)), classes)  # as labels are stored
    np.testing.assert_array_equal(one.to_class(one.from_byte(one.to_byte(values))), classes)  # as VIMH records do


@every_range
def test_to_class_is_the_nearest_grid_point(low_step_high):
    low, step, high = low_step_high
    one = space(*low_step_high)
    values = np.random.default_rng(0).uniform(low, high, (500, 1))
    grid = low + np.arange(RANGES[low_step_high]) * step
    np.testing.assert_array_equal(one.to_class(values)[:, 0], np.abs(values - grid).argmin(axis=1))
    error = np.abs(one.from_class(one.to_class(values)) - values)
    assert error.max() <= 0.5 * step * (1 + 1e-9)


@every_range
def test_byte_codes_are_rounded_255ths_and_return_within_half_a_byte(low_step_high):
    low, _, high = low_step_high
    one = space(*low_step_high)
    values = np.linspace(low, high, 1001)[:, None]
    codes = one.to_byte(values)
    assert codes.dtype == np.uint8
    np.testing.assert_allclose(codes, 255 * (values - low) / (high - low), atol=0.5 + 1e-9)
    np.testing.assert_allclose(one.from_byte(codes), values, atol=(high - low) / 510 * (1 + 1e-9))


@pytest.mark.parametrize("scale", ["lin", "log"])
def test_every_byte_code_round_trips(scale):
    one = space(20, 20, 20_000, scale=scale)
    codes = np.arange(256, dtype=np.uint8)[:, None]
    np.testing.assert_array_equal(one.to_byte(one.from_byte(codes)), codes)


def test_log_scale_matches_closed_form():
    one = space(20, 20, 20_000, scale="log")
    np.testing.assert_allclose(one.normalize([[20.0], [200.0], [2000.0], [20_000.0]])[:, 0], [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(one.denormalize([[0.0], [0.5], [1.0]])[:, 0], [20, 20 * 1000**0.5, 20_000])


def test_classes_on_a_log_scale_differ_by_one_factor():
    one = space(1000, 1000, 8000, scale="log", kind="ordinal")
    grid = one.from_class(np.arange(8)[:, None])[:, 0]
    np.testing.assert_allclose(grid, 1000 * 8 ** (np.arange(8) / 7))
    assert grid[-1] <= 8000
    between = np.sqrt(grid[1:] * grid[:-1])[:, None]  # the geometric middle of two classes
    np.testing.assert_array_equal(one.to_class(between * 1.0001)[:, 0], np.arange(1, 8))
    np.testing.assert_array_equal(one.to_class(between * 0.9999)[:, 0], np.arange(7))
    np.testing.assert_allclose(np.unique(one.sample(0, 0, 100)), grid, rtol=1e-6)


def test_linear_and_log_columns_do_not_mix():
    both = ParameterSpace([spec(0, 1, 10), spec(10, 10, 1000, name="log", scale="log")])
    np.testing.assert_allclose(both.normalize([[5.0, 100.0], [0.0, 1000.0]]), [[0.5, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(both.denormalize([[0.5, 0.5], [0.0, 1.0]]), [[5.0, 100.0], [0.0, 1000.0]])
    np.testing.assert_array_equal(both.to_class([[5.2, 102.0], [0.0, 1000.0]]), [[5, 50], [0, 99]])


def test_values_outside_the_range_are_clipped():
    one = space(200, 100, 2000)
    wild = [[-1e9], [199.0], [2001.0], [1e9]]
    np.testing.assert_array_equal(one.normalize(wild)[:, 0], [0, 0, 1, 1])
    np.testing.assert_array_equal(one.to_class(wild)[:, 0], [0, 0, 18, 18])
    np.testing.assert_array_equal(one.to_byte(wild)[:, 0], [0, 0, 255, 255])
    np.testing.assert_array_equal(one.denormalize([[-1.0], [2.0]])[:, 0], [200, 2000])


@st.composite
def any_range(draw):
    low = draw(st.floats(-1000, 1000))
    width = draw(st.floats(1e-2, 1e4))
    step = width / draw(st.floats(1, 200))
    assume(0 < step <= width and low + width > low)
    return low, step, low + width


@repeatable
@given(any_range())
def test_classes_round_trip_for_any_range(low_step_high):
    one = space(*low_step_high)
    classes = np.arange(one.num_classes[0])[:, None]
    values = one.from_class(classes)
    assert np.all((values >= one.min) & (values <= one.max))
    np.testing.assert_array_equal(one.to_class(values), classes)


@repeatable
@given(any_range(), st.lists(st.floats(0, 1), min_size=1, max_size=20), st.booleans())
def test_normalize_inverts_denormalize_for_any_range(low_step_high, unit, log):
    low, step, high = low_step_high
    one = space(abs(low) + 1, step, abs(low) + 1 + high - low, scale="log" if log else "lin")
    unit = np.array(unit)[:, None]
    values = one.denormalize(unit)
    assert np.all((values >= one.min * (1 - 1e-12)) & (values <= one.max * (1 + 1e-12)))
    np.testing.assert_allclose(one.normalize(values), unit, atol=1e-6)


def test_a_missing_step_is_a_sixteenth_of_the_range():
    assert spec(0, 0, 8).step == 0.5
    assert ParameterSpec(name="x", min=-1, max=1).num_classes == 17


def test_a_number_of_classes_gives_the_step():
    one = ParameterSpec(name="decay", min=0.1, max=1, num_classes=11, scale="log")
    assert one.num_classes == 11 and one.step == pytest.approx(0.09)
    for fields, words in (({"step": 0.1}, "step and num_classes given"), ({"num_classes": 1}, "num_classes 1 given")):
        with pytest.raises(ValidationError, match=words):
            ParameterSpec(**{"name": "decay", "min": 0.1, "max": 1, "num_classes": 11, **fields})


def test_two_classes_survive_float_noise():
    """0.9 - 0.8 is a little less than 0.1."""
    assert spec(0.8, 0.1, 0.9).num_classes == 2


def test_fixed_parameters_are_no_labels():
    both = ParameterSpace([ParameterSpec(name="note", min=43.35, max=43.35), spec(200, 100, 2000)])
    assert len(both) == 1 and both.names == ("cutoff",) and both.fixed == {"note": 43.35}
    complete = both.complete(np.array([[300.0], [400.0]], np.float32))
    np.testing.assert_array_equal(complete["note"], [43.35, 43.35])
    np.testing.assert_array_equal(complete["cutoff"], [300, 400])
    assert complete["cutoff"].dtype == np.float64


def test_space_survives_plain_dicts():
    both = ParameterSpace([ParameterSpec(name="note", min=3, max=3), spec(20, 10, 90, scale="log", unit="Hz")])
    again = ParameterSpace(ParameterSpec(**one) for one in both.to_dicts())
    assert again == both and again.to_dicts() == both.to_dicts()


def test_names_of_categories_give_range_step_and_kind():
    wave = ParameterSpec(name="wave", values=["sine", "square", "saw"])
    assert (wave.min, wave.max, wave.step, wave.kind, wave.num_classes) == (0, 2, 1, "categorical", 3)
    assert wave.values == ("sine", "square", "saw")
    assert [wave.format(value) for value in (0, 0.9, 2, 7)] == ["sine", "square", "saw", "saw"]
    octave = ParameterSpec(name="octave", min=-1, values=("down", "up"))
    assert (octave.min, octave.max) == (-1, 0) and octave.format(-1.0) == "down"
    assert spec(0, 1, 10).format(2.5) == "2.5" and spec(0, 1, 10).values is None


def test_a_parameter_is_fixed_at_a_value_of_its_range():
    wave = ParameterSpec(name="wave", values=["sine", "square", "saw"]).fixed_at(1)
    assert wave.is_fixed and (wave.min, wave.values, wave.num_classes) == (1, ("square",), 1)
    assert wave == ParameterSpec(**wave.model_dump()) and wave.format(1) == "square"
    assert spec(0, 1, 10).fixed_at(3) == spec(3, 0, 3)


@repeatable
@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1), min_size=2, unique=True))
def test_any_names_survive_plain_json(names):
    space = ParameterSpace([ParameterSpec(name="wave", values=names), spec(20, 10, 90)])
    plain = json.loads(json.dumps(space.to_dicts()))
    assert ParameterSpace(ParameterSpec(**one) for one in plain) == space
    assert plain[0]["values"] == names and "values" not in plain[1]
    classes = np.stack([np.arange(len(names)), np.zeros(len(names), int)], axis=1)
    np.testing.assert_array_equal(space.to_class(space.from_class(classes)), classes)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"values": []}, "must name every category"),
        ({"values": ["a", "a"]}, "without repetition"),
        ({"values": ["a", ""]}, "'' is not a name of 1 to 60 printable characters"),
        ({"values": ["a", "b\n"]}, "is not a name of 1 to 60 printable characters"),
        ({"values": ["a", "b" * 61]}, "is not a name of 1 to 60 printable characters"),
        ({"values": ["a", 3]}, "valid string"),
        ({"values": ["a", True]}, "True is not text; YAML reads on, off, yes and no as true and false"),
        ({"values": "sine", "min": 0, "max": 1}, "valid tuple"),
        ({"values": ["a", "b"], "kind": "continuous"}, "values are for categorical parameters, but kind is continuous"),
        ({"values": ["a", "b"], "max": 2}, "2 values do not fit min 0, max 2 and step 1; leave out min, max and step"),
        ({"values": ["a", "b"], "step": 0.5}, "2 values do not fit min 0, max 1 and step 0.5"),
    ],
)
def test_names_that_do_not_fit_are_refused(fields, words):
    with pytest.raises(ValidationError) as raised:
        ParameterSpec(name="wave", **fields)
    assert words in raised.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("low_step_high", "more", "words"),
    [
        ((2000, 100, 200), {}, ["min 2000", "above max 200"]),
        ((200, 5000, 2000), {}, ["step 5000", "at most", "1800"]),
        ((200, -1, 2000), {}, ["greater than or equal to 0"]),
        ((0, 1, 10), {"scale": "log"}, ["min 0", "above 0", "log"]),
        ((0, 1, 10), {"scale": "exp"}, ["'lin' or 'log'"]),
        ((0, 1, 10), {"kind": "wavy"}, ["'continuous', 'ordinal' or 'categorical'"]),
        ((0, 1, float("nan")), {}, ["finite number"]),
        ((0, 1, 10), {"stepp": 3}, ["Extra inputs are not permitted"]),
    ],
)
def test_bad_spec_says_what_is_allowed(low_step_high, more, words):
    with pytest.raises(ValidationError) as raised:
        spec(*low_step_high, **more)
    message = raised.value.errors()[0]["msg"]
    assert "\n" not in message and all(word in message for word in words)


def test_unknown_parameter_gets_a_suggestion():
    both = ParameterSpace([spec(0, 1, 10, name="filter_cutoff"), spec(0, 1, 10, name="note_number")])
    assert both.index("note_number") == 1
    with pytest.raises(UserError, match=r"^parameter 'filter_cutof' .* Did you mean 'filter_cutoff'\?$"):
        both.index("filter_cutof")
    with pytest.raises(UserError, match=r"Known: filter_cutoff, note_number\.$"):
        both.index("xyz")


def test_the_categories_of_all_parameters_have_a_limit():
    """Each of them is an output of the network."""
    many = [ParameterSpec(name=name, min=0, max=40_000, kind="categorical") for name in "ab"]
    assert ParameterSpace(many[:1]).num_classes == (40_001,)
    with pytest.raises(UserError, match=r"^parameters: 80002 categories in all, the maximum is 65536"):
        ParameterSpace(many)


def test_a_name_given_twice_is_an_error():
    with pytest.raises(UserError, match=r"^parameters: 'a{30,}\.{3}a{30,}' occurs 3,000 times; each name must"):
        ParameterSpace([spec(0, 1, 10, name="a" * 200)] * 3000)
