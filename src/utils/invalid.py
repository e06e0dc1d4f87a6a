"""Say on one line what is wrong with the values that pydantic refused."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from src.utils.errors import shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_UNION_PARTS = ("int", "literal['auto']")  # pydantic names the member of a union that it tried
_SHOWN_FAULTS = 5
_KEYS = "give keys with values, as in {{key: value}}"
_LIST = "give a list, as in [one, two]"
_WHOLE, _NUMBER, _TRUTH = "give a whole number", "give a number", "give true or false"
_REMEDIES = {  # by pydantic's types of errors, whose messages speak of dictionaries and integers
    "bool_parsing": _TRUTH,
    "bool_type": _TRUTH,
    "dict_type": _KEYS,
    "extra_forbidden": "there is no such key",
    "finite_number": "give a finite number",
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "greater_than": "give more than {gt}",
    "greater_than_equal": "give at least {ge}",
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "less_than": "give less than {lt}",
    "less_than_equal": "give at most {le}",
    "list_type": _LIST,
    "literal_error": "give {expected}",
    "missing": "no value given",
    "model_attributes_type": _KEYS,
    "model_type": _KEYS,
    "string_type": "give a text",
    "too_long": "give at most {max_length} values",
    "too_short": "give at least {min_length} values",
    "tuple_type": _LIST,
}


def describe(error: ValidationError, prefix: str = "") -> str:
    """Return the faults as `key: value given; what to give instead`, joined by semicolons on one line."""
    faults = []
    for fault in error.errors(include_url=False):
        where = ".".join([prefix] * bool(prefix) + [str(part) for part in fault["loc"] if part not in _UNION_PARTS])
        given = "" if isinstance(fault["input"], dict | BaseModel) else f"{shown(fault['input'], 100)} given; "
        where = f"{_shorten(where)}: " if where else ""
        faults.append(f"{where}{given}{_remedy(fault)}")
    faults = list(dict.fromkeys(faults))
    more = [f"and {len(faults) - _SHOWN_FAULTS} more"] if len(faults) > _SHOWN_FAULTS else []
    return " ".join("; ".join(faults[:_SHOWN_FAULTS] + more).split())


def _remedy(fault: "ErrorDetails") -> str:
    remedy = _REMEDIES.get(fault["type"])
    if remedy is None:
        return fault["msg"].removeprefix("Value error, ")
    return remedy.format(**{name: _number(value) for name, value in fault.get("ctx", {}).items()})


def _number(value: Any) -> Any:
    """Return a limit as text: integers with separators, floats with the digits that they have."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.15g}" if isinstance(value, float) else value


def _shorten(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."
