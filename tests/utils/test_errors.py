"""Suggestions for a name that is not known, and messages that stay one printable line whatever they quote."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.utils.errors import (
    MOST_LETTERS,
    Interrupted,
    PrintableFilter,
    UserError,
    did_you_mean,
    first_line,
    one_line,
    printable,
    shown,
)


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


@given(st.text(st.characters(), max_size=300))
def test_a_message_is_one_printable_line(text):
    message = str(UserError(text))
    assert message.isprintable() and len(message.splitlines()) <= 1
    if text.isprintable():
        assert message == text


@pytest.mark.parametrize("letter", ["x", "\n", "\x1b", "\u202e", "\udc80"])
def test_a_message_that_quotes_a_long_text_is_cut_in_the_middle(letter):
    message = str(Interrupted(f"begins {letter * 200_000} ends", 2))
    assert len(message) <= MOST_LETTERS and message.isprintable()
    assert message.startswith("begins ") and message.endswith(" ends")


def test_what_cannot_be_printed_is_escaped():
    assert printable("a\nb\x1b[31m\u202e\udc80é") == r"a\nb\x1b[31m\u202e\x80é"


def test_a_value_is_quoted_like_repr_and_is_short_whatever_it_is():
    endless = []
    endless.append(endless)
    bomb = ["x" * 1000]
    for _ in range(40):
        bomb = [bomb, bomb]
    assert shown("gain [dB]") == "'gain [dB]'" and shown(-3) == "-3" and shown(None) == "None"
    assert shown("a\x1b[31m") == r"'a\x1b[31m'"
    for value in ("y" * 200_000, [10**5000], 10**5000, endless, bomb, {"k" * 500: {1: b"x" * 5000}}, b"\x1b" * 3000):
        assert len(shown(value)) <= 80 and shown(value).isprintable()
    assert shown(10**5000) == "an integer of 16610 bits"


def test_a_logged_name_cannot_control_the_terminal(caplog):
    log = logging.getLogger("a name")
    log.addFilter(PrintableFilter())
    log.warning("%s\nsecond line", "a\x1b]0;PWNED\x07.wav")
    assert caplog.messages == ["a\\x1b]0;PWNED\\x07.wav\nsecond line"]


def test_causes_are_on_one_line_up_to_a_user_error():
    inner = UserError("key: wrong")
    inner.__cause__ = ValueError("details of a library")
    outer = RuntimeError("failed")
    outer.__cause__ = inner
    assert one_line(outer) == "failed: key: wrong"
    outer.__cause__ = ValueError("details")
    assert one_line(outer) == "failed: details"
