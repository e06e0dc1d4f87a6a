"""A checkpoint's file as tensors and plain containers, checked before torch reads a word of it.

torch.load(weights_only=True) calls only what a list of its own holds. But that list is long, it allocates what a header
says, and it compares no checksums.
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
_NOT_TORCHS = "torch saved no such file"
_END, _END_64, _LOCATOR = (struct.Struct(form) for form in ("<4s4H2LH", "<4sQ2H2L4Q", "<4sLQL"))  # of a zip file
_GLOBALS = re.compile(  # what a pickle of tensors and plain values names; the last ones serve callbacks' states
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v[23]|parameter)|torch\.storage UntypedStorage"
    r"|torch (Bool|Byte|Char|Short|Int|Long|Half|BFloat16|Float|Double)Storage|torch u?int\d+"
    r"|torch b?float\d+|torch bool|(__builtin__|builtins) set|collections Counter|torch Size|torch device"
)
_FAULTS = (  # what zipfile, pickletools and torch raise about a damaged file
    *(zipfile.BadZipFile, struct.error, pickle.UnpicklingError, EOFError, OSError, ArithmeticError, AssertionError),
    *(AttributeError, LookupError, MemoryError, NotImplementedError, RuntimeError, TypeError, ValueError),
)


def load_plain(path: Path) -> dict[str, Any]:
    """Return a checkpoint's contents on the CPU; UserError is one line that says what is wrong with the file."""
    try:
        require_content(path, "give a .ckpt file")
    except UserError as error:
        raise UserError(f"ckpt_path: {error}") from error
    try:
        _require_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: what can be read is read
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError as error:
        raise UserError(f"ckpt_path: {path} is no readable checkpoint ({error})") from error
    except _FAULTS as error:
        cause = printable(first_line(error), 200)
        if "weights_only" in cause:  # torch advises to let the file run what it likes
            cause = "it holds more than tensors and plain values"
        raise UserError(f"ckpt_path: {path} is no readable checkpoint ({cause}); copy it again") from error
    if not isinstance(content, dict):
        raise UserError(f"ckpt_path: {path} is no readable checkpoint (a {type(content).__name__}, where keys belong)")
    return content


def _require_archive(path: Path) -> None:
    """UserError or a fault of zipfile's unless a file is what torch.save writes: whole, stored as it is, and plain."""
    with zipfile.ZipFile(path) as archive:
        _require_one_reading(path, archive)
        entries = archive.infolist()
        if any(one.compress_type != zipfile.ZIP_STORED or one.flag_bits & 1 for one in entries):
            raise UserError("it is compressed or encrypted, as torch saves none")
        if sum(one.file_size for one in entries) > path.stat().st_size:
            raise UserError("its entries are larger than the file")
        pickles = [one for one in entries if one.filename.lower().endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
            raise UserError(_NOT_TORCHS)
        damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"{damaged} in it is damaged; copy it again, or train again")
        for name in _globals(archive.read(pickles[0])):
            if not _GLOBALS.fullmatch(name):
                raise UserError(f"it asks for {name.replace(' ', '.')[:100]}, which is no tensor or plain value")


def _require_one_reading(path: Path, archive: zipfile.ZipFile) -> None:
    """UserError where torch's reader of zip files could find other entries than Python's, which are the checked ones.

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
    if len({one.filename.lower() for one in entries}) != len(entries):
        raise UserError("two of its entries have one name")
    if any(one.orig_filename != one.filename or not one.filename.isascii() for one in entries):
        raise UserError(_NOT_TORCHS)
    if any(one.file_size != one.compress_size for one in entries if one.compress_type == zipfile.ZIP_STORED):
        raise UserError("the sizes of its entries disagree")


def _globals(content: bytes) -> Iterator[str]:
    """Yield what a pickle names, as "module name"."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL":
            yield argument
        elif opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            yield opcode.name
