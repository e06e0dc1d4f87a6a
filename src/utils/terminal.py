"""Progress on standard output: bars on a terminal, plain lines in a file or a pipe."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from src.utils.multirun import in_parallel

log = logging.getLogger(__name__)

FIRST_LINE_S, NEXT_LINE_S = 10, 60  # seconds until a long task without a bar logs its progress, first and again


def is_interactive() -> bool:
    """Return whether lines on standard output can be redrawn, and no other job writes there at the same time."""
    return sys.stdout.isatty() and Console().is_interactive and not in_parallel()


def duration(seconds: float) -> str:
    """Return a time in one or two units, such as `45 s`, `8 min` or `3 h 20 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


@contextmanager
def logged_above() -> Iterator[None]:
    """Write log lines to the current sys.stdout, which Rich replaces so that they appear above a progress bar."""
    moved = []
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.__stdout__, sys.__stderr__):
            moved.append((handler, handler.setStream(sys.stdout)))
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)


@contextmanager
def counted(name: str, unit: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how much of a task is done: a bar on a terminal, a log line at intervals elsewhere.

    Yields a function to call with the number of further items, of `total`, that are done.
    """
    if is_interactive():
        columns = (
            TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold")),
            BarColumn(10),  # leaves room for the usual names in 80 columns
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
        )
        with Progress(*columns, transient=True) as progress, logged_above():
            task = progress.add_task(name, total=total)
            yield lambda count: progress.advance(task, count)
        return
    done, started_with, began = 0, 0, 0.0
    next_line = time.monotonic() + FIRST_LINE_S

    def advance(count: int) -> None:
        nonlocal done, started_with, began, next_line
        done += count
        now = time.monotonic()
        if not began:  # the first step may include compiling, so the time left follows from the later ones
            started_with, began = done, now
        elif now >= next_line:
            left = duration((now - began) / (done - started_with) * (total - done))
            log.info("%s: %s of %s %s, %s left", name, f"{done:,}", f"{total:,}", unit, left)
            next_line = now + NEXT_LINE_S

    yield advance
