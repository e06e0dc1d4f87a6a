"""The one exception whose text is written for the person at the terminal."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A fault the user can mend; its message is one line saying what, where, and what to do."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` when a known name is close to `given`, else the known names."""
    known = sorted(known)
    close = difflib.get_close_matches(given, known, n=1)
    return f" Did you mean '{close[0]}'?" if close else f" Known: {', '.join(known)}."
