"""Load a checkpoint file as tensors and plain containers, after checks that precede torch.load.

torch.load(weights_only=True) calls only the functions on its own list. But that list is long, and torch.load allocates
the sizes that a header states and does not compare checksums.
"""

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from src.utils.errors import UserError, first_line, printable

_LFS_POINTER = b"version https://git-lfs.github.com"
_MOST_PICKLE_BYTES = 64 * 2**20
_GLOBALS = re.compile(  # the names in a pickle of tensors and plain values; the last four occur in callbacks' states
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v[23]|parameter)|torch\.storage UntypedStorage"
    r"|torch (Bool|Byte|Char|Short|Int|Long|Half|BFloat16|Float|Double)Storage|torch u?int\d+"
    r"|torch b?float\d+|torch bool|(__builtin__|builtins) set|collections Counter|torch Size|torch device"
)
_FAULTS = (  # the exceptions of zipfile, pickletools and torch for a damaged file
    *(zipfile.BadZipFile, pickle.UnpicklingError, EOFError, OSError, ArithmeticError, AssertionError),
    *(AttributeError, LookupError, MemoryError, NotImplementedError, RuntimeError, TypeError, ValueError),
)


def load_plain(path: Path) -> dict[str, Any]:
    """Return a checkpoint's contents on the CPU; a UserError is one line that says what is wrong with the file."""
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
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise UserError("it is only a Git LFS pointer; fetch the file itself: git lfs pull")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) != len(entries):
            raise UserError("two of its entries have the same name")
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise UserError("it is compressed or encrypted, but torch saves neither")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise UserError("its entries are larger than the file")
        pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
            raise UserError("torch does not save such a file")
        damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"{damaged} in it is damaged; copy it again, or train again")
        for name in _globals(archive.read(pickles[0])):
            if not _GLOBALS.fullmatch(name):
                raise UserError(f"it needs {name.replace(' ', '.')[:100]}, which is not a tensor or plain value")


def _globals(content: bytes) -> Iterator[str]:
    """Yield the globals that a pickle names, as "module name"."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL":
            yield argument
        elif opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            yield opcode.name
