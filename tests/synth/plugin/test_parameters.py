"""What texts of a plug-in's parameter become."""

import numpy as np
import pytest

from src.synth.plugin.parameters import describe_knob
from src.utils.errors import UserError

PLACES = np.linspace(0.0, 1.0, 101)


def row(texts, value=0.25, unit=""):
    return {"index": 3, "name": "x", "unit": unit, "value": value, "texts": list(texts)}


def test_numbers_that_rise_evenly_are_a_range_with_a_unit():
    knob = describe_knob(row([f"{-12 + 24 * place:.3f} st" for place in PLACES]), "Tuning")
    spec = knob.spec
    assert (spec.name, spec.min, spec.max, spec.unit, spec.scale, spec.default) == ("Tuning", -12, 12, "st", "lin", -6)
    np.testing.assert_allclose(knob.to_plugin(np.array([-12, 0, 12])), [0, 0.5, 1])
    assert describe_knob(row([f"{100 * place:.0f}" for place in PLACES], unit="%"), "a").spec.unit == "%"


def test_numbers_that_rise_evenly_in_their_logarithm_are_a_log_range():
    knob = describe_knob(row([f"{20 * 1000**place:.2f} Hz" for place in PLACES]), "cutoff")
    assert (knob.spec.min, knob.spec.max, knob.spec.scale, knob.spec.unit) == (20, 20000, "log", "Hz")
    np.testing.assert_allclose(knob.spec.default, 20 * 1000**0.25)
    np.testing.assert_allclose(knob.to_plugin(np.array([20, 632.4555, 20000])), [0, 0.5, 1], atol=1e-6)


def test_few_numbers_that_rise_evenly_keep_their_order_and_a_switch_of_numbers_is_a_category():
    octaves = describe_knob(row([f"{round(-6 + 12 * place)}" for place in PLACES], value=0.5), "octave").spec
    assert (octaves.kind, octaves.min, octaves.max, octaves.default) == ("continuous", -6, 6, 0)
    rough = describe_knob(row([f"{place:.1f}" for place in PLACES], value=0.33), "mix").spec
    assert (rough.min, rough.max, rough.default) == (0, 1, 0.33)
    assert describe_knob(row(["0"] * 50 + ["1"] * 51), "switch").spec.values == ("0", "1")


def test_what_no_parameter_can_be_is_one_line():
    with pytest.raises(UserError, match=r"^synth\.source: parameter 'x' has the value nan; 0 to 1 is allowed$"):
        describe_knob(row([""] * 101, value=float("nan")), "x")
    long = describe_knob(row(["a" * 90] * 50 + ["b\t" * 90] * 51), "wave").spec
    assert len(long.values) == 2 and all(value.isprintable() for value in long.values)


@pytest.mark.parametrize(
    "texts",
    [
        [f"{place**3:.3f}" for place in PLACES],
        [f"{1 - place:.2f}" for place in PLACES],
        [f"{place:.2f}" if place else "off" for place in PLACES],
        [f"step {place:.2f}" for place in PLACES],
        ["always"] * 101,
        [""] * 101,
    ],
)
def test_all_else_is_0_to_1(texts):
    knob = describe_knob(row(texts), "x")
    assert (knob.spec.min, knob.spec.max, knob.spec.default, knob.places) == (0, 1, 0.25, ())
    np.testing.assert_array_equal(knob.to_plugin(np.array([0.0, 0.3, 1.0])), [0.0, 0.3, 1.0])


def test_runs_of_equal_texts_are_categories_in_the_middle_of_their_run():
    knob = describe_knob(row(["saw"] * 51 + ["square"] * 25 + [""] * 25, value=0.6), "wave")
    assert knob.spec.values == ("saw", "square", "value 2") and knob.spec.default == 1
    np.testing.assert_allclose(knob.to_plugin(np.array([0.0, 1.0, 2.0])), [0.25, 0.63, 0.88])
