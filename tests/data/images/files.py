"""Small sets in the true file formats, written as MNIST's and CIFAR's own programs wrote them."""

import gzip
import struct
from pathlib import Path

import numpy as np

COARSE_OF_FINE = (3, 0, 3, 1, 2, 0)  # not the quotient of the number by the size of a group


def idx_bytes(array: np.ndarray) -> bytes:
    """Return an array of bytes as an IDX file: two zeros, the type, the dimensions, big-endian sizes, the values."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(root: Path, num_train: int = 60, num_test: int = 20, side: int = 28, compressed: bool = True) -> dict:
    """Write the four files of MNIST's layout with 10 classes; return {train, t10k: (images, classes)}."""
    root.mkdir(parents=True, exist_ok=True)
    random, written = np.random.default_rng(0), {}
    for name, count in (("train", num_train), ("t10k", num_test)):
        classes = np.arange(count) % 10
        images = random.integers(0, 256, (count, side, side), np.uint8)
        images[:, 0, 0] = classes  # so that images of different classes differ
        written[name] = images, classes
        for kind, array in (("images-idx3", images), ("labels-idx1", classes)):
            path, content = root / f"{name}-{kind}-ubyte", idx_bytes(array)
            if compressed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return written


def cifar_arrays(count: int, num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (n, 3072) and classes (n,), each of which occurs if there are enough images."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)
    return pixels, np.arange(count) % num_classes


def python2_pickle(value: object) -> bytes:
    """Return what Python 2 wrote for dicts, lists, texts, small integers and arrays of bytes, with protocol 2."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: object) -> bytes:
    if isinstance(value, str | bytes):  # both are strings of bytes in Python 2
        content = value.encode() if isinstance(value, str) else value
        short = len(content) < 256
        return (b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content))) + content
    if isinstance(value, int | np.integer):
        return b"K" + bytes([value])
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_opcodes(part) for pair in value.items() for part in pair) + b"u"
    assert isinstance(value, np.ndarray) and value.dtype == np.uint8
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    shape = b"".join(b"M" + struct.pack("<H", length) for length in value.shape)
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return empty + b"(K\x01(" + shape + b"t" + dtype + b"\x89" + _opcodes(value.tobytes()) + b"tb"


def write_cifar10(root: Path, binary: bool = False, per_file: int = 20) -> dict:
    """Write CIFAR-10's files with three classes; return {file: (pixels, classes)}."""
    root.mkdir(parents=True, exist_ok=True)
    names, written = ["airplane", "automobile", "bird"], {}
    files = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for seed, file in enumerate(files):
        pixels, classes = written[file] = cifar_arrays(per_file, len(names), seed)
        if binary:
            content = np.column_stack([classes.astype(np.uint8), pixels]).tobytes()
            (root / f"{file}.bin").write_bytes(content)
        else:
            batch = {"batch_label": file, "labels": classes.tolist(), "data": pixels, "filenames": ["a.png"] * per_file}
            (root / file).write_bytes(python2_pickle(batch))
    if binary:
        (root / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    else:
        meta = {"num_cases_per_batch": per_file, "label_names": names, "num_vis": 255}
        (root / "batches.meta").write_bytes(python2_pickle(meta))
    return written


def write_cifar100(root: Path, binary: bool = False, num_train: int = 60, num_test: int = 12) -> dict:
    """Write CIFAR-100's files with the six fine classes of COARSE_OF_FINE; return {file: (pixels, fine, coarse)}."""
    root.mkdir(parents=True, exist_ok=True)
    fine_names = ["apple", "beaver", "bottle", "bee", "bus", "whale"]
    coarse_names = ["aquatic_mammals", "insects", "vehicles_1", "household"]
    written = {}
    for seed, (file, count) in enumerate((("train", num_train), ("test", num_test))):
        pixels, fine = cifar_arrays(count, len(fine_names), seed)
        coarse = np.array(COARSE_OF_FINE)[fine]
        written[file] = pixels, fine, coarse
        if binary:
            columns = [coarse.astype(np.uint8), fine.astype(np.uint8), pixels]
            (root / f"{file}.bin").write_bytes(np.column_stack(columns).tobytes())
        else:
            batch = {"data": pixels, "fine_labels": fine.tolist(), "coarse_labels": coarse.tolist()}
            (root / file).write_bytes(python2_pickle(batch))
    if binary:
        for kind, names in (("fine", fine_names), ("coarse", coarse_names)):
            (root / f"{kind}_label_names.txt").write_text("\n".join(names) + "\n")
    else:
        meta = {"fine_label_names": fine_names, "coarse_label_names": coarse_names}
        (root / "meta").write_bytes(python2_pickle(meta))
    return written
