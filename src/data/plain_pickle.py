"""Read pickles without the pickle module: opcodes are parsed, and only a few are supported.

Nothing in the file can run, since neither pickle nor numpy restores state from it: containers are built here, and an
array is a view of its bytes. Nor can damaged opcodes affect the internals of Python or numpy (a pickled dtype contains
raw C flags, and a memo index sets the size of a C table).
"""

import io
import pickletools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from src.utils.errors import UserError

_ARGUMENT = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("BINSTRING", "SHORT_BINSTRING"),  # bytes of Python 2, read as Latin-1 text
}
_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
_TUPLE = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NAMES = {
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "_codecs.encode",
}
_DTYPE = re.compile(r"[?biuf]\d{0,2}")
_MARK = object()


class _Name(str):
    """The name of a global in the pickle; it is only text and cannot be called."""


@dataclass(eq=False)
class _Dtype:
    code: str
    order: str = "="


@dataclass(eq=False)
class _Array:
    """An array, empty until the pickle sets its state; `numpy.asarray` accepts it."""

    array: np.ndarray | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.array is None:
            raise ValueError("an array without contents")
        return np.array(self.array, dtype, copy=copy)


def load_plain_pickle(path: Path, remedy: str) -> Any:
    """Load numbers, text, lists, tuples, dicts with text keys, numpy arrays and scalars; else raise UserError.

    Arrays are returned as objects that `numpy.asarray` accepts. A byte string of Python 2 is text, a letter for each
    byte. Errors end with `remedy`.
    """
    try:
        return _run(path.read_bytes())
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: not a plain pickle ({str(error)[:200]}); {remedy}") from error


def _run(content: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    encoded = 0  # bytes encoded from text: a file that refers to a text often could fill the memory
    argument: Any
    for opcode, argument, _ in pickletools.genops(io.BytesIO(content)):
        name = opcode.name
        if name in _ARGUMENT:
            stack.append(argument)
        elif name in _CONSTANT:
            stack.append(_CONSTANT[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _TUPLE:
            stack.append(tuple(_pop(stack, _TUPLE[name])))
        elif name in ("TUPLE", "LIST"):
            items = _pop_to_mark(stack)
            stack.append(tuple(items) if name == "TUPLE" else items)
        elif name in ("APPEND", "APPENDS"):
            items = _pop_to_mark(stack) if name == "APPENDS" else _pop(stack, 1)
            _of_kind(stack[-1], list).extend(items)
        elif name in ("DICT", "SETITEM", "SETITEMS"):
            items = _pop(stack, 2) if name == "SETITEM" else _pop_to_mark(stack)
            if name == "DICT":
                stack.append({})
            for key, value in zip(items[::2], items[1::2], strict=True):
                _of_kind(stack[-1], dict)[_of_kind(key, str)] = value
        elif name == "GLOBAL":
            stack.append(_name(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_name(*_pop(stack, 2)))
        elif name == "REDUCE":
            made = _reduce(*_pop(stack, 2))
            encoded += len(made) if isinstance(made, bytes) else 0
            stack.append(made)
        elif name == "BUILD":
            encoded += _build(stack[-2], stack.pop())
        elif name == "STOP":
            return _pop(stack, 1)[0]
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"opcode {name}, which a plain pickle does not use")
        if encoded > len(content):
            raise ValueError("more bytes than the file has")
    raise ValueError("no end")


def _pop(stack: list[Any], count: int) -> list[Any]:
    items = stack[-count:]
    if len(items) < count or any(item is _MARK for item in items):
        raise ValueError("values are missing")
    del stack[-count:]
    return items


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    items = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _of_kind(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _name(module: Any, attribute: Any) -> _Name:
    """Return the name of a global that numpy's own pickles use; others are refused."""
    name = f"{module}.{attribute}".replace("numpy._core.", "numpy.core.")
    if name not in _NAMES:
        raise ValueError(f"it needs {name[:80]!r}, which is neither an array nor a container")
    return _Name(name)


def _reduce(function: Any, arguments: Any) -> Any:
    if type(function) is not _Name or type(arguments) is not tuple:
        raise ValueError(f"a call of a {type(function).__name__}")
    if function == "numpy.core.multiarray._reconstruct":
        return _Array()
    if function == "numpy.core.numeric._frombuffer":  # protocol 5
        return _Array(_view(*arguments))
    if function == "numpy.core.multiarray.scalar":
        return _view(arguments[1], arguments[0], (), "C").item()
    if function == "numpy.dtype":
        code = _of_kind(arguments[0], str)
        if not _DTYPE.fullmatch(code):
            raise ValueError(f"an array of dtype {code!r}")
        return _Dtype(code)
    if function == "_codecs.encode":  # bytes, in protocols 0 to 2
        return _of_kind(arguments[0], str).encode("latin1")
    raise ValueError(f"a call of {function}")


def _build(target: Any, state: Any) -> int:
    """Set the state of a dtype or an array; return the number of bytes that were encoded from text."""
    if isinstance(target, _Dtype) and state[1] in ("<", ">", "=", "|"):
        target.order = state[1]
        return 0
    if not isinstance(target, _Array):
        raise ValueError(f"a state for a {type(target).__name__}")
    _, shape, dtype, fortran, content = state
    is_text = isinstance(content, str)  # in files of Python 2
    plain = content.encode("latin1") if is_text else content
    target.array = _view(plain, dtype, shape, "F" if fortran else "C")
    return len(plain) if is_text else 0


def plain_array(path: Path, content: dict, keys: Sequence[str], dtype: type, remedy: str) -> np.ndarray:
    """Return the array of numbers at the first of `keys` that a file's dict has; a UserError ends with `remedy`."""
    key = next((key for key in keys if key in content), None)
    if key is None:
        raise UserError(f"{path}: no key {' or '.join(keys)}; {remedy}")
    try:
        _check_size(content[key], 4 * path.stat().st_size)  # each reference to a list takes a byte
        stored = np.asarray(content[key])
        if stored.dtype.kind not in "uif" or not stored.size:
            raise ValueError(f"{stored.dtype} {stored.shape}")
        with np.errstate(invalid="ignore", over="ignore"):
            array: np.ndarray = stored.astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: {key} is not an array of numbers ({error}); {remedy}") from error
    if dtype is np.uint8 and not np.array_equal(array, stored):
        raise UserError(f"{path}: {key} holds values outside 0..255; {remedy}")
    return array


def _check_size(value: Any, most: int) -> None:
    """Raise ValueError unless nested lists hold numbers and arrays, `most` values at all references to a list."""
    pending, count = [value], 0
    while pending:
        item = pending.pop()
        if isinstance(item, list | tuple):
            pending.extend(item if count + len(item) <= most else ())
            count += len(item)
        else:
            if not isinstance(item, _Array | bool | int | float):  # numpy would copy a text at each reference
                raise ValueError(f"a {type(item).__name__} in it")
            count += np.asarray(item).size if isinstance(item, _Array) else 0
        if count > most:
            raise ValueError("more values than the file has bytes for")


def _view(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise ValueError("an array whose content is not bytes")
    plain = np.dtype(dtype.code).newbyteorder(cast(Any, dtype.order))
    return np.frombuffer(content, plain).reshape(shape, order=order)
