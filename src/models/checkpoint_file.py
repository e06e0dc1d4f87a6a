"""Load a checkpoint file as tensors and plain containers, after checks that precede torch.load.

torch.load(weights_only=True) calls only the functions on its own list. But that list is long, and torch.load allocates
the sizes that a header states and does not compare checksums.
"""

import os
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from src.utils.errors import UserError, first_line, printable
from src.utils.files import require_content

_MOST_PICKLE_BYTES = 64 * 2**20
_NOT_TORCHS = "torch does not save such a file"
_END, _END_64, _LOCATOR = (struct.Struct(form) for form in ("<4s4H2LH", "<4sQ2H2L4Q", "<4sLQL"))  # of a zip file
_GLOBALS = re.compile(  # the names in a pickle of tensors and plain values; the last four occur in callbacks' states
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v[23]|parameter)|torch\.storage UntypedStorage"
    r"|torch (Bool|Byte|Char|Short|Int|Long|Half|BFloat16|Float|Double)Storage|torch u?int\d+"
    r"|torch b?float\d+|torch bool|(__builtin__|builtins) set|collections Counter|torch Size|torch device"
)
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
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise UserError("it is compressed or encrypted, but torch saves neither")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise UserError("its entries are larger than the file")
        pickles = [entry for entry in entries if entry.filename.lower().endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
            raise UserError(_NOT_TORCHS)
        damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"{damaged} in it is damaged; copy it again, or train again")
        for name in _globals(archive.read(pickles[0])):
            if not _GLOBALS.fullmatch(name):
                raise UserError(f"it needs {name.replace(' ', '.')[:100]}, which is not a tensor or plain value")


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


def _globals(content: bytes) -> Iterator[str]:
    """Yield the globals that a pickle names, as "module name"."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL":
            yield argument
        elif opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            yield opcode.name
