"""What standard output can show: bars and colours on a terminal, plain lines in a file or a pipe."""

import sys

from rich.console import Console

from src.utils.multirun import in_parallel


def is_interactive() -> bool:
    """Tell whether lines on standard output can be redrawn, and no other job redraws there as well."""
    return sys.stdout.isatty() and Console().is_interactive and not in_parallel()


def duration(seconds: float) -> str:
    """Return a time in one or two units, as in `45 s`, `8 min` or `3 h 20 min`."""
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
