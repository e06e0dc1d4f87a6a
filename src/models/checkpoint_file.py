"""Load a checkpoint file as tensors and plain containers, after checks that precede torch.load.

torch.load(weights_only=True) calls only the functions on its own list. But that list is long, and torch.load allocates
the sizes that a header states and does not compare checksums. And it makes as many copies as a pickle asks for.
"""

import os
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from src.utils.errors import UserError, first_line, printable
from src.utils.files import require_content

_MOST_PICKLE_BYTES = 4 * 2**20
_MOST_TENSORS = 25_000  # a network of 3,000 with its average and AdamW's state has 15,000
_OPCODES = 100_000, 40  # of a pickle: of the config and the description, and of each tensor, which needs 30
_LONGEST_TUPLE = 64  # torch computes with up to 64 dimensions
FROM_TRUSTED = "use a file from a source that you trust"
_NOT_TORCHS = "torch does not save such a file"
_DIRECTORY = 0x10  # of an entry's attributes: torch would not read its bytes
_END, _END_64, _LOCATOR = (struct.Struct(form) for form in ("<4s4H2LH", "<4sQ2H2L4Q", "<4sLQL"))  # of a zip file
_ENTRY = re.compile(r"[^/]+/(data/\d+|data\.pkl|byteorder|version|\.\w+(/\w+)?)")  # a letter would have two cases
_ORDERED = "collections OrderedDict"
_GLOBALS = re.compile(  # the names in a pickle of tensors and plain values
    rf"{_ORDERED}|torch\._utils _rebuild_(tensor_v[23]|parameter)|torch\.storage UntypedStorage"
    r"|torch (Bool|Byte|Char|Short|Int|Long|Half|BFloat16|Float|Double)Storage|torch u?int\d+"
    r"|torch b?float\d+|torch bool"
)
_SCALARS = {
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE"), "constant"),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), "number"),
    "BINUNICODE": "text",
}
_EMPTY = {"EMPTY_DICT": "dict", "EMPTY_LIST": "list", "EMPTY_TUPLE": ()}
_TAKES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2, "BINPERSID": 1, "REDUCE": 2, "BUILD": 1}
_TAKE_TO_MARK = ("TUPLE", "APPENDS", "SETITEMS")
_FAULTS = (  # the exceptions of zipfile, pickletools and torch for a damaged file
    *(zipfile.BadZipFile, struct.error, pickle.UnpicklingError, EOFError, OSError, ArithmeticError, AssertionError),
    *(AttributeError, LookupError, MemoryError, NotImplementedError, RuntimeError, TypeError, ValueError),
)


def load_plain(path: Path) -> dict[str, Any]:
    """Return a checkpoint's contents on the CPU; a UserError is one line that says what is wrong with the file."""
    try:
        require_content(path, "give a .ckpt file")
    except UserError as error:
        raise UserError(f"ckpt_path: {error}") from error
    try:
        _require_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, which does not matter here
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError as error:
        raise UserError(f"ckpt_path: {path} is not a readable checkpoint ({error})") from error
    except _FAULTS as error:
        cause = printable(first_line(error), 200)
        if "weights_only" in cause:  # torch advises to allow arbitrary code
            cause = "it holds more than tensors and plain values"
        raise UserError(f"ckpt_path: {path} is not a readable checkpoint ({cause}); copy it again") from error
    if not isinstance(content, dict):
        raise UserError(
            f"ckpt_path: {path} is not a readable checkpoint (a {type(content).__name__} instead of a dict)"
        )
    return content


def _require_archive(path: Path) -> None:
    """Raise UserError or zipfile's error unless a file is complete, uncompressed and plain, as torch.save writes it."""
    with zipfile.ZipFile(path) as archive:
        _require_one_reading(path, archive)
        entries = archive.infolist()
        if any(entry.external_attr & _DIRECTORY for entry in entries):
            raise UserError("one of its entries is marked as a directory; copy it again")
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise UserError("it is compressed or encrypted, but torch saves neither")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise UserError("its entries are larger than the file")
        pickles = [entry for entry in entries if entry.filename.lower().endswith(".pkl")]
        if len(pickles) != 1 or not all(_ENTRY.fullmatch(entry.filename) for entry in entries):
            raise UserError(_NOT_TORCHS)
        if pickles[0].file_size > _MOST_PICKLE_BYTES or len(entries) > _MOST_TENSORS:
            raise UserError(f"it holds more than a network's weights and training state; {FROM_TRUSTED}")
        damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"{damaged} in it is damaged; copy it again, or train again")
        _require_plain(archive.read(pickles[0]), _OPCODES[0] + _OPCODES[1] * len(entries))


def _require_one_reading(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise UserError if torch's reader of zip files could find other entries than Python's, which are checked.

    Python counts back from the end of a file to its list of entries, and torch goes where the end says that it is;
    torch does not tell upper and lower case apart. Lightning's strategy for sharded models would call whatever an
    unchecked pickle names. See PKWARE's APPNOTE.TXT, 4.3.14 to 4.3.16.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_64.size - _LOCATOR.size - _END.size))
        tail = file.read()
    signature, *_, start, comment = _END.unpack(tail[-_END.size :])
    locator = tail[-_END.size - _LOCATOR.size : -_END.size]
    if locator.startswith(b"PK\x06\x07"):  # torch always writes the longer form too
        end = size - len(tail)
        start = _END_64.unpack(tail[: _END_64.size])[-1] if _LOCATOR.unpack(locator)[2] == end else None
    if signature != b"PK\x05\x06" or comment or start != archive.start_dir:
        raise UserError(_NOT_TORCHS)
    entries = archive.infolist()
    if len({entry.filename.lower() for entry in entries}) != len(entries):
        raise UserError("two of its entries have the same name")
    if any(entry.orig_filename != entry.filename or not entry.filename.isascii() for entry in entries):
        raise UserError(_NOT_TORCHS)
    if any(entry.file_size != entry.compress_size for entry in entries if entry.compress_type == zipfile.ZIP_STORED):
        raise UserError("the sizes of its entries disagree")


def _require_plain(content: bytes, most: int) -> None:
    """Raise UserError unless a pickle is one of tensors and plain values, as torch.save writes it.

    Follows the kinds of the values, without the values. Nothing in such a pickle is copied, and the keys of dicts are
    texts and numbers, which rarely have equal hashes: the time and memory to load it are proportional to its size.
    """
    stack: list[Any] = []  # the kind of each value; that of a tuple is the tuple of its values' kinds
    marks: list[int] = []
    memo: dict[int, Any] = {}
    argument: Any
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        name = opcode.name
        if count > most:
            raise UserError(f"it holds too many values for the number of its tensors; {FROM_TRUSTED}")
        if name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append("shared dict" if memo[argument] == "dict" else memo[argument])
        elif name not in ("PROTO", "STOP"):
            at = len(stack) if name not in _TAKE_TO_MARK else marks.pop()
            at -= _TAKES.get(name, 0)
            taken = stack[at:]
            del stack[at:]
            stack += _result(name, argument, taken, stack)


def _result(name: str, argument: Any, taken: list[Any], stack: list[Any]) -> list[Any]:
    """Return the kinds of what an opcode puts on the stack in place of what it took."""
    valid = True
    if name in _SCALARS:
        valid = name != "LONG1" or abs(argument) < 2**64
        result: list[Any] = [_SCALARS[name]]
    elif name in _EMPTY:
        result = [_EMPTY[name]]
    elif name == "GLOBAL" and _GLOBALS.fullmatch(argument):
        result = [argument]
    elif name.startswith("TUPLE"):
        valid = len(taken) <= _LONGEST_TUPLE
        result = [tuple(taken)]
    elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
        valid = name.startswith("APPEND") or all(key in _SCALARS.values() for key in taken[::2])
        result = []
    elif name == "BINPERSID":
        storage = taken[0][1]
        valid = taken[0] == ("text", storage, "text", "text", "number") and _is_name(storage, "Storage")
        result = ["storage"]
    elif name == "BUILD":  # the metadata of a state dict
        valid = taken == ["dict"] and stack[-1] == "ordered"
        result = []
    elif name == "REDUCE":
        function, arguments = taken
        valid = _is_name(function, "parameter") or (function == _ORDERED and arguments == ())
        if _is_name(function, ("_v2", "_v3")):
            valid = all(isinstance(size, tuple) for size in arguments[2:4])
        result = ["ordered" if function == _ORDERED else "tensor"]
    else:
        cause = argument.replace(" ", ".")[:100] if name == "GLOBAL" else name
        raise UserError(f"it needs {cause}, which is not a tensor or plain value")
    if not valid:
        raise UserError(f"{_NOT_TORCHS}; {FROM_TRUSTED}")
    return result


def _is_name(kind: Any, ends: str | tuple[str, ...]) -> bool:
    return isinstance(kind, str) and kind.endswith(ends)
