"""Parameters that a program outside this one names: names that are words and differ, and what a spec refuses."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from src.parameters.spec import MAX_CATEGORY_LETTERS, ParameterSpec
from src.utils.errors import UserError, shown

PLAYED = ("note_number", "note_velocity")  # what a note of a clip is called


def unique_names(labels: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return a name of letters, digits and _ for each label; where names agree, its path, then a number.

    No name is one of PLAYED.
    """
    words = [_word(label) for label in labels]
    found: list[str] = []
    for word, path in zip(words, paths, strict=True):
        name = _word(path) if words.count(word) > 1 or word in PLAYED or not word else word
        name = name if name and name not in PLAYED else f"parameter_{name}".rstrip("_")
        number = 2
        unique = name
        while unique in found:
            unique, number = f"{name}_{number}", number + 1
        found.append(unique)
    return found


def _word(label: str) -> str:
    return re.sub(r"[\W_]+", "_", label).strip("_")


def discovered_spec(label: str, **fields: Any) -> ParameterSpec:
    """Return the parameter of a program's control; raise UserError with its label if no parameter can be like that."""
    for key, most in (("unit", 40), ("description", 1000)):
        if key in fields:
            fields[key] = _printable(fields[key], most)
    if fields.get("values"):
        fields["values"] = [_printable(value, MAX_CATEGORY_LETTERS) for value in fields["values"]]
    try:
        return ParameterSpec(**fields)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"synth.source: control {shown(label)}: {reason}; change it in the program") from error


def _printable(text: str, most: int) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:most]


def check_note_off(note_off: Any) -> None:
    """Raise UserError unless the setting is a share of a clip."""
    if isinstance(note_off, bool) or not isinstance(note_off, int | float) or not 0 < note_off <= 1:
        raise UserError(f"synth.settings.note_off: {note_off!r} given; give a share of the clip, above 0 and up to 1")
