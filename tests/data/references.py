"""VIMH datasets written by hand, byte by byte, as the format's table says: nothing here imports src."""

import json
import struct
from pathlib import Path

import numpy as np


def record(image, pairs, scale=(-80.0, 0.0)) -> bytes:
    """Return one record: image (C, H, W) of levels, pairs of (id, code); `scale=None` makes it version 2.0."""
    channels, height, width = len(image), len(image[0]), len(image[0][0])
    parts = [struct.pack("<HHH", height, width, channels)]
    if scale is not None:
        parts.append(struct.pack("<ff", *scale))
    parts.append(struct.pack("<B", len(pairs)))
    parts += [struct.pack("<BB", identifier, code) for identifier, code in pairs]
    parts += [struct.pack("<B", int(level)) for plane in image for row in plane for level in row]
    return b"".join(parts)


def ancestors_info(shape, names, counts, **more) -> dict:
    """Return a description with the ancestor's keys only; every parameter runs 0 .. 10 by 1."""
    channels, height, width = shape
    mapping = {"min": 0.0, "step": 1.0, "max": 10.0, "description": "made by hand", "num_classes": 11}
    return {
        "format": "VIMH",
        "version": "2.1",
        "dataset_name": "by_hand",
        "output_format": "binary",
        "height": height,
        "width": width,
        "channels": channels,
        "channel_labels": ["spectrogram"] * channels,
        "varying_parameters": len(names),
        "parameter_names": list(names),
        **{f"{split}_samples": count for split, count in counts.items()},
        "total_samples": sum(counts.values()),
        "n_samples": sum(counts.values()),
        "sample_rate": 8000,
        "duration": 1.0,
        "synth_type": "simple_saw",
        "image_size": f"{height}x{width}x{channels}",
        "parameter_mappings": {name: dict(mapping) for name in names},
        "fixed_parameters": {"note_number": {"value": 43.35, "description": "pitch"}},
        "pre_emphasis_coefficient": 0.97,
        "spectrogram_config": {"sample_rate": 8000, "type": "stft", "n_fft": 128, "n_window": 64, "hop_length": 20,
                               "window_type": "hann", "n_bins": height},
        "mel_config": {"freq_min": 0.0, "freq_max_ratio": 1.0},
        "label_encoding": {"format": "[N] [id, value] * N", "metadata_bytes": 14},
        **more,
    }  # fmt: skip


def write_ancestor(directory: Path, counts=None, shape=(1, 3, 4), names=("cutoff", "decay"), scale=(-60.0, 0.0),
                   ids=None, **info) -> dict[str, tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Write a dataset as the ancestor does; return {split: (images (n, C, H, W), codes (n, P))}."""
    counts = {"train": 20, "test": 5} if counts is None else counts
    ids = range(len(names)) if ids is None else ids
    directory.mkdir()
    written = {}
    for number, (split, count) in enumerate(counts.items()):
        generator = np.random.default_rng(number)
        images = generator.integers(0, 256, (count, *shape), np.uint8)
        codes = generator.integers(0, 256, (count, len(names)), np.uint8)
        rows = [record(image, [(one, code[one]) for one in ids], scale) for image, code in zip(images, codes)]  # noqa: B905
        (directory / split).write_bytes(b"".join(rows))
        written[split] = images, codes
    write_info(directory, ancestors_info(shape, names, counts, **info))
    return written


def write_info(directory: Path, info: dict) -> None:
    (directory / "vimh_dataset_info.json").write_text(json.dumps(info))


def read_info(directory: Path) -> dict:
    return json.loads((directory / "vimh_dataset_info.json").read_text())


def edit_info(directory: Path, **changes) -> None:
    write_info(directory, read_info(directory) | changes)


def snapshot(directory: Path) -> dict[str, tuple]:
    """Return what must not change when a dataset is only read: names, sizes, times, contents."""
    return {
        str(path.relative_to(directory)): (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes())
        for path in [directory, *directory.rglob("*")]
        if path.is_file()
    } | {"": directory.stat().st_mtime_ns}
