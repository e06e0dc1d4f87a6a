"""Sounds of every format that libsndfile writes, damaged, and read as predictions read them."""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from src.spectral.audio_file import read_clip
from tests.mutation.mutators import damage
from tests.mutation.oracle import Silent, Warnings

SAMPLES = 1200
_WITH_CHECKSUMS = ("FLAC",)  # of every block of samples: what differs was not noticed


def write_originals(directory: Path) -> dict[str, bytes]:
    """Return {format_subtype: contents} for all that can be written, and a FLAC that does not tell its length."""
    time = np.arange(SAMPLES) / 8000
    mono = (0.5 * np.exp(-5 * time) * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    stereo = np.stack([mono, mono[::-1]], axis=1)
    found = {}
    for name in soundfile.available_formats():
        for subtype in soundfile.available_subtypes(name):
            for channels, sound in ((1, mono), (2, stereo)):
                path = directory / f"{name}_{subtype}_{channels}"
                try:
                    soundfile.write(path, sound, 8000 if channels == 1 else 44100, subtype, format=name)
                    clip = read_clip(path, 8000, SAMPLES, "mix")
                except (soundfile.SoundFileError, ValueError, TypeError):
                    continue  # libsndfile lists more than it writes, and writes more than it reads
                if np.isfinite(clip).all():
                    found[path.name] = path.read_bytes()
    streamed = bytearray(found["FLAC_PCM_16_1"])
    streamed[21] &= 0xF0  # the length in samples, 36 bits of STREAMINFO: 0 is unknown
    streamed[22:26] = bytes(4)
    return found | {"FLAC_streamed_1": bytes(streamed)}


@cache
def _intact(content: bytes, path: Path) -> np.ndarray:
    path.write_bytes(content)
    return read_clip(path, 8000, SAMPLES, "mix")


def make_case(
    originals: dict[str, bytes], directory: Path, warnings: Warnings, seed: int
) -> tuple[str, Callable[[], None]]:
    """Return the name of a kind, and what reads one damaged file of it; Silent when damage goes unnoticed."""
    draw = random.Random(seed)
    name = draw.choice(sorted(originals))
    original = originals[name]
    content = damage(original, draw, originals[draw.choice(sorted(originals))])
    path = directory / "damaged.bin"

    def read() -> None:
        expected = _intact(original, directory / "intact.bin")
        path.write_bytes(content)
        warnings.take()
        clip = read_clip(path, 8000, SAMPLES, "mix")
        told = [one for one in warnings.take() if "resampled from 44100 to" not in one]  # as the intact one is
        if clip.shape != (SAMPLES,) or clip.dtype != np.float32 or not np.isfinite(clip).all():
            raise Silent(f"{clip.dtype} {clip.shape}, finite: {np.isfinite(clip).all()}")
        if name.startswith(_WITH_CHECKSUMS) and not told and not np.allclose(clip, expected, atol=1e-6):
            raise Silent(f"other samples: {np.abs(clip - expected).max():.3g} off")

    return name, read
