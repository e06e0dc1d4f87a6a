"""The one exception whose text is written for the person at the terminal."""

import difflib
import unicodedata
from collections.abc import Iterable

_ESCAPED = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: control characters, surrogates, line and paragraph breaks


class UserError(ValueError):
    """A fault that the user can fix; its message is one line saying what, where, and what to do."""

    status = 1  # of the process that ends with it

    def __str__(self) -> str:
        text = super().__str__()
        if text.startswith("Caught ") and "DataLoader worker" in text:  # it hands over a traceback; the message ends it
            return text.strip().splitlines()[-1].partition(": ")[2]
        return text


class NotHere(UserError):
    """A package, a service or an accelerator that a config asks for and this machine does not have."""


class Interrupted(UserError):
    """A run that a signal ended, with the shell's status for that signal."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.status = 128 + signal_number


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` when a known name is close to `given`, else the known names."""
    known = sorted(known)
    close = difflib.get_close_matches(given, known, n=1)
    return f" Did you mean '{close[0]}'?" if close else f" Known: {', '.join(known)}."


def escaped(text: str) -> str:
    r"""Return text that fits on a line of any terminal or file: line breaks, control characters and bytes that are not
    UTF-8 become escapes such as \n and \xe9."""
    shown = []
    for character in text:
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that is not UTF-8
            shown.append(f"\\x{code - 0xDC00:02x}")
        elif unicodedata.category(character) in _ESCAPED:
            shown.append(character.encode("unicode_escape").decode())
        else:
            shown.append(character)
    return "".join(shown)


def one_line(error: BaseException) -> str:
    """Return an error and what caused it on one line."""
    parts, seen = [], error
    while seen is not None:
        text = " ".join(str(seen).replace("\n", " ").split())
        if text and not any(text in part for part in parts):
            parts.append(text)
        seen = seen.__cause__
    return ": ".join(parts) or type(error).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of an error that tells much more, such as a launcher's or a database's."""
    return str(error).strip().partition("\n")[0].strip() or type(error).__name__
