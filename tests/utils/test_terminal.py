"""Durations, and what a long task writes where there is no terminal."""

import logging
import sys
from types import SimpleNamespace

import pytest

from src.utils import terminal
from src.utils.terminal import counted, duration, is_interactive


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.4, "0 s"), (98.6, "99 s"), (99.5, "2 min"), (480, "8 min"), (5940, "99 min"),
        (5999, "1 h 40 min"), (12000, "3 h 20 min"), (7199, "2 h 0 min"), (176400, "2 d 1 h"), (10**7, "115 d 17 h"),
    ],
)  # fmt: skip
def test_durations_have_one_or_two_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("is_tty", "term", "parallel", "expected"),
    [
        (True, "xterm", False, True),
        (False, "xterm", False, False),
        (True, "dumb", False, False),
        (True, "xterm", True, False),
    ],
)
def test_a_bar_needs_a_terminal_that_can_redraw_and_belongs_to_this_job(monkeypatch, is_tty, term, parallel, expected):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: is_tty, encoding="utf-8"))
    monkeypatch.setattr(terminal, "in_parallel", lambda: parallel)
    assert is_interactive() == expected


def test_a_task_without_a_terminal_has_a_line_after_ten_seconds_and_then_one_a_minute(monkeypatch, caplog, capsys):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock.now)
    caplog.set_level(logging.INFO)
    with counted("data/[red]name", "samples", 2000) as advance:
        for _ in range(100):
            clock.now += 1.0
            advance(20)
    assert [record.getMessage() for record in caplog.records] == [
        "data/[red]name: 200 of 2,000 samples, 90 s left",
        "data/[red]name: 1,400 of 2,000 samples, 30 s left",
    ]
    assert capsys.readouterr().out == ""


def test_the_first_step_which_may_compile_does_not_count_in_the_time_left(monkeypatch, caplog):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock.now)
    caplog.set_level(logging.INFO)
    with counted("name", "samples", 100) as advance:
        for seconds in (50.0, 1.0):
            clock.now += seconds
            advance(10)
    assert [record.getMessage() for record in caplog.records] == ["name: 20 of 100 samples, 8 s left"]


def test_a_short_task_without_a_terminal_writes_nothing(caplog, capsys):
    caplog.set_level(logging.INFO)
    with counted("name", "samples", 2) as advance:
        advance(2)
    assert not caplog.records and capsys.readouterr().out == ""
