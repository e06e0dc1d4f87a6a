"""Suggestions for a name that is not known."""

import pytest

from src.utils.errors import UserError, did_you_mean, first_line


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("note_velocty", " Did you mean 'note_velocity'?"),
        ("cutof", " Did you mean 'cutoff'?"),
        ("xyz", " Known: cutoff, note_velocity."),
        ("", " Known: cutoff, note_velocity."),
    ],
)
def test_the_closest_name_or_all_of_them(given, answer):
    assert did_you_mean(given, iter(["note_velocity", "cutoff"])) == answer


def test_a_user_error_is_a_value_error():
    assert issubclass(UserError, ValueError)


def test_the_first_line_of_an_error_that_says_nothing_is_its_kind():
    assert first_line(ValueError("\n one \ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
