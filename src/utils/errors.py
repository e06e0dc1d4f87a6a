"""The exception whose message is written for the user, and how errors and refused values are shown."""

import difflib
import logging
import reprlib
from collections.abc import Iterable

MOST_LETTERS = 2000  # of a message: room for several faults of a config, but not for a whole file
_LONGEST_INTEGER = 2**64  # Python refuses to write integers of more than 4,300 digits


class UserError(ValueError):
    """A mistake that the user can fix; its message is one line: what is wrong, where, and what to do.

    Control characters are escaped and a long message is cut, since it may quote an untrusted file.
    """

    status = 1  # of the process that ends with it

    def __init__(self, message: object = ""):
        text = str(message)
        if text.startswith("Caught ") and "DataLoader worker" in text:  # a worker's traceback ends with the message
            text = text.strip().splitlines()[-1].partition(": ")[2]
        super().__init__(printable(text))


class UnavailableError(UserError):
    """A config needs a package, a service or an accelerator that this machine does not have."""


class Interrupted(UserError):
    """A signal ended the run; the exit status is the shell's for that signal."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.status = 128 + signal_number


def printable(text: str, most: int = MOST_LETTERS) -> str:
    """Return text as one line of at most `most` letters; unprintable characters are escaped, the middle is left out."""
    return _cut("".join(_escaped(letter) for letter in _cut(text, most)), most)


class PrintableFilter(logging.Filter):
    """Escape what a terminal would obey in a log message, such as a file's name; line breaks stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = "\n".join(map(printable, record.getMessage().split("\n"))), None
        return True


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # a byte of a file name that is not UTF-8, as Python stores it
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def _cut(text: str, most: int) -> str:
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


class _Short(reprlib.Repr):
    def repr_int(self, value: int, level: int) -> str:
        if abs(value) > _LONGEST_INTEGER:
            return f"an integer of {value.bit_length()} bits"
        return repr(value)


def shown(value: object, most: int = 80) -> str:
    """Return a refused value for a message: like repr, but at most `most` letters."""
    short = _Short()
    short.maxstring = short.maxother = most
    return printable(short.repr(value), most)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` if a known name is close to `given`, otherwise the known names."""
    known = sorted(known)
    close = difflib.get_close_matches(given, known, n=1)
    return f" Did you mean '{close[0]}'?" if close else f" Known: {', '.join(known)}."


def one_line(error: BaseException) -> str:
    """Return an error and its causes on one line, up to a UserError, which says all that a user needs."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        text = " ".join(str(seen).replace("\n", " ").split())
        if text and not any(text in part for part in parts):
            parts.append(text)
        seen = None if isinstance(seen, UserError) else seen.__cause__
    return ": ".join(parts) or type(error).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of a long error message, such as a launcher's or a database's."""
    return str(error).strip().partition("\n")[0].strip() or type(error).__name__
