"""Write a dataset as a stream; it gets its final name only when it is complete."""

import hashlib
import json
from contextlib import ExitStack
from types import TracebackType
from typing import IO

import numpy as np

from src.data.info import INFO_FILE, to_info
from src.data.paths import Location
from src.data.publish import publish
from src.data.spec import DatasetSpec
from src.data.vimh.pickles import write_pickle
from src.data.vimh.records import CURRENT_METADATA_BYTES, Records, record_bytes


class DatasetWriter:
    """Writes rows of any split in any order, in a `with` block; an error or Ctrl-C leaves nothing (see `publish`).

    Without `exact` the labels are only the byte codes of the records, because no more of them is known.
    """

    def __init__(
        self, place: Location, spec: DatasetSpec, overwrite: bool = False, pickle: bool = False, exact: bool = True
    ):
        self.place = place
        self.spec = spec
        self.overwrite = overwrite
        self.pickle = pickle
        self.exact = exact
        self._stride = record_bytes(CURRENT_METADATA_BYTES, len(spec.space), int(np.prod(spec.image_shape)))
        self._files: dict[str, IO[bytes]] = {}
        self._params_start: dict[str, int] = {}

    def __enter__(self) -> "DatasetWriter":
        needed = sum(self.spec.counts.values()) * (self._stride + 4 * len(self.spec.space))
        with ExitStack() as undo:
            self._partial = undo.enter_context(publish(self.place, INFO_FILE, self.overwrite, needed))
            undo.push(self._finish)
            self._open_files(undo)
            self._closing = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, traceback)

    def _open_files(self, closing: ExitStack) -> None:
        for split, count in self.spec.counts.items():
            self._files[split] = closing.enter_context((self._partial / split).open("w+b"))
            if not self.exact:
                continue
            params = closing.enter_context((self._partial / f"{split}_params.npy").open("w+b"))
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, len(self.spec.space))}
            np.lib.format.write_array_header_1_0(params, header)
            self._files[f"{split}_params.npy"], self._params_start[split] = params, params.tell()

    def write(self, split: str, rows: np.ndarray, records: np.ndarray, values: np.ndarray) -> None:
        """Write to `rows` (n,) of a split: records (n, stride) uint8, as `pack_records` makes them,
        and values (n, P) float32 physical."""
        values = np.ascontiguousarray(values, "<f4")
        consecutive = rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
        runs = [slice(None)] if consecutive else [slice(at, at + 1) for at in range(len(rows))]
        for run in runs:
            row = int(rows[run][0])
            self._put(split, row * self._stride, records[run])
            if not self.exact:
                continue
            start = self._params_start[split] + row * 4 * len(self.spec.space)
            self._put(f"{split}_params.npy", start, values[run])

    def add_file(self, name: str, content: bytes) -> None:
        """Write another file of the dataset; its checksum is in the JSON too."""
        (self._partial / name).write_bytes(content)

    def _put(self, name: str, position: int, content: np.ndarray) -> None:
        file = self._files[name]
        if file.tell() != position:
            file.seek(position)
        file.write(content.data)

    def _finish(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write everything that needs the complete files: pickle copies, checksums, the JSON."""
        if kind is not None:
            return
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
        info = to_info(self.spec) | {"sha256": checksums}
        (self._partial / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n")
