"""Answers counted by category, against a plain loop."""

import numpy as np
import pytest

from src.evaluation.confusion import Confusion, category_name, category_names, count_pairs, nearest_category
from src.parameters.spec import ParameterSpec

WAVE = ParameterSpec(name="wave", min=0, max=3, kind="categorical")


def test_counts_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    true, answered = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    expected = np.zeros((4, 4), int)
    for row, column in zip(true, answered, strict=True):
        expected[row, column] += 1
    np.testing.assert_array_equal(count_pairs(WAVE, true, answered).matrix(), expected)


def test_mistakes_come_with_the_most_frequent_first_and_without_right_answers():
    confusion = Confusion(("sine", "saw", "square"), ((0, 0, 5), (0, 1, 2), (1, 1, 3), (2, 0, 7), (2, 1, 1)))
    assert confusion.mistakes() == [("square", "sine", 7, 8), ("sine", "saw", 2, 7), ("square", "saw", 1, 8)]


def test_thousands_of_categories_take_no_room_of_their_square():
    many = ParameterSpec(name="wavetable", min=0, max=65535, kind="categorical")
    confusion = count_pairs(many, np.array([0, 65535]), np.array([1, 65535]))
    assert confusion.counts == ((0, 1, 1), (65535, 65535, 1)) and confusion.mistakes() == [("0", "1", 1, 1)]


def test_an_answer_outside_the_categories_counts_as_the_nearest_one():
    assert count_pairs(WAVE, np.array([0, 3]), np.array([-(2**63), 99])).counts == ((0, 0, 1), (3, 3, 1))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (("sine", "saw", "square", "noise"), ("sine", "saw", "square", "noise")),
        (None, ("0", "1", "2", "3")),
    ],
)
def test_categories_have_the_names_they_were_given_else_their_numbers(given, names):
    spec = ParameterSpec(name="wave", values=given, min=0, max=3, kind="categorical")
    assert category_names(spec) == names
    assert category_name(spec, 2.0) == names[2]


def test_values_belong_to_the_nearest_category():
    spec = ParameterSpec(name="voices", min=1, max=5, step=2, kind="categorical")
    assert category_names(spec) == ("1", "3", "5")
    assert nearest_category(spec, np.array([1.0, 2.9, 5.0, -7.0, 99.0, np.nan])).tolist() == [0, 1, 2, 0, 2, 0]
