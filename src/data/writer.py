"""Writing a dataset: streamed, under a temporary name, renamed when it is whole."""

import errno
import hashlib
import json
import logging
import os
import platform
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from src.data.pickles import write_pickle
from src.data.records import CURRENT_METADATA_BYTES, Records, pack_records, record_bytes
from src.data.spec import INFO_FILE, DatasetSpec, to_info
from src.utils.errors import UserError

log = logging.getLogger(__name__)


class DatasetWriter:
    """Writes rows of any split in any order; `with` it: an error or Ctrl-C leaves nothing behind.

    Rows go to `.{name}.partial-{host}-{pid}` beside the final directory, so that a process that is
    killed outright leaves nothing under the final name; the next one here clears the remains away.
    """

    def __init__(self, directory: Path, spec: DatasetSpec, overwrite: bool = False, pickle: bool = False):
        self.directory = directory
        self.spec = spec
        self.overwrite = overwrite
        self.pickle = pickle
        self._stride = record_bytes(CURRENT_METADATA_BYTES, len(spec.space), int(np.prod(spec.image_shape)))
        self._partial = directory.parent / f".{directory.name}.partial-{platform.node()}-{os.getpid()}"
        self._closing = ExitStack()
        self._files = {}
        self._params_start = {}

    def __enter__(self) -> "DatasetWriter":
        parent = self.directory.parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
            _remove_dead_partials(parent, self.directory.name)
            self._refuse()
            self._partial.mkdir()
        except OSError as error:
            why = f"{error.filename}: {error.strerror}"
            raise UserError(f"{parent}: cannot be written ({why}); choose another place") from error
        with ExitStack() as undo:
            undo.push(self)  # an error, or Ctrl-C, from here on ends as one in the body would
            self._open_files()
            undo.pop_all()
        return self

    def _refuse(self) -> None:
        """UserError where the dataset must not, or cannot, be written."""
        if self.directory.exists() and not self.overwrite:
            raise UserError(f"{self.directory}: exists and is not touched; pass overwrite=true or another dataset.name")
        if self._partial.exists():
            raise UserError(f"{self._partial}: exists; remove it, unless a run is still writing to it")
        needed = sum(self.spec.counts.values()) * (self._stride + 4 * len(self.spec.space))
        free = shutil.disk_usage(self.directory.parent).free
        if needed > free:
            raise UserError(
                f"{self.directory}: {needed / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free; make room"
            )

    def _open_files(self) -> None:
        for split, count in self.spec.counts.items():
            self._files[split] = self._closing.enter_context((self._partial / split).open("w+b"))
            params = self._closing.enter_context((self._partial / f"{split}_params.npy").open("w+b"))
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, len(self.spec.space))}
            np.lib.format.write_array_header_1_0(params, header)
            self._files[f"{split}_params.npy"], self._params_start[split] = params, params.tell()

    def write(
        self, split: str, rows: np.ndarray, images: np.ndarray, codes: np.ndarray, scale: np.ndarray, values: np.ndarray
    ) -> None:
        """Write records to `rows` (n,) of a split: images (n, C, H, W) and codes (n, P) uint8,
        scale (n, 2) float32 dB, values (n, P) float32 physical."""
        records = pack_records(images, codes, scale)
        values = np.ascontiguousarray(values, "<f4")
        consecutive = rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
        runs = [slice(None)] if consecutive else [slice(at, at + 1) for at in range(len(rows))]
        for run in runs:
            row = int(rows[run][0])
            self._put(split, row * self._stride, records[run])
            start = self._params_start[split] + row * 4 * len(self.spec.space)
            self._put(f"{split}_params.npy", start, values[run])

    def _put(self, name: str, position: int, content: np.ndarray) -> None:
        file = self._files[name]
        if file.tell() != position:
            file.seek(position)
        file.write(content.data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._closing.close()
            if kind is None:
                self._finish()
        except OSError as failed:
            self._refuse_full(failed)
            raise
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)
        self._refuse_full(error)

    def _refuse_full(self, error: BaseException | None) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{self.directory}: the disk is full; nothing was kept, make room") from error

    def _finish(self) -> None:
        if self.pickle:
            for split in self.spec.counts:
                data = np.memmap(self._partial / split, np.uint8, mode="r")
                shapes = np.array([self.spec.image_shape], np.uint16)
                records = Records(data, CURRENT_METADATA_BYTES, np.arange(len(self.spec.space)), shapes)
                write_pickle(self._partial / f"{split}_batch", records)
        checksums = {}
        for path in sorted(self._partial.iterdir()):
            with path.open("rb") as file:
                checksums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
        info = to_info(self.spec) | {"sha256": checksums}
        (self._partial / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n")
        replaced = self._partial.with_name(self._partial.name + "-replaced")
        try:
            if self.overwrite and self.directory.exists():
                self.directory.rename(replaced)
            self._partial.rename(self.directory)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise UserError(f"{self.directory}: another run made it meanwhile; its files were kept") from error
            raise
        finally:
            if replaced.exists() and not self.directory.exists():
                replaced.rename(self.directory)
            _remove(replaced)


def _remove_dead_partials(parent: Path, name: str) -> None:
    """Clear what killed processes of this machine left behind."""
    prefix = f".{name}.partial-{platform.node()}-"
    for path in [path for path in parent.iterdir() if path.name.startswith(prefix)]:
        pid = path.name.removeprefix(prefix).removesuffix("-replaced")
        if pid.isdecimal() and not _is_running(int(pid)):
            if path.name.endswith("-replaced") and not (parent / name).exists():
                log.warning("%s: restoring it, since the run that was replacing it was killed", parent / name)
                path.rename(parent / name)
                continue
            log.warning("%s: removing what a killed run left behind", path)
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)  # a link to a dataset kept elsewhere


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
