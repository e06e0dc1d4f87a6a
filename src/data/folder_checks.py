"""What is wrong with the sounds of a folder: files left out or changed, clipping, copies, and copies across splits."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from src.utils.spaced import evenly_spaced
from src.utils.table import Column

CHECKS = {
    "missing": "in the CSV but not in the folder: left out",
    "unlisted": "in the folder but not in the CSV: not used",
    "unreadable": "cannot be read, or not finite: left out",
    "silent": "silent (below -80 dB): left out",
    "long": "longer than a clip: only the beginning is used",
    "short": "shorter than a clip: padded with silence",
    "clipped": "clipped, or held at full scale",
    "copies": "the same bytes as an earlier file: in its split",
    "contradicting": "the same bytes as an earlier file, but other labels",
    "near_copies": "almost the image of another file, and its labels",
    "leaking": "such a file in val or test, the other in train",
}
_EXAMPLES = 10  # of each check that a description holds: it must stay small
_FULL_SCALE = 0.99  # the greatest sample of 8 bits is 0.992
_HELD = 4  # equal samples at full scale: a sine of 50 Hz at 44.1 kHz holds its peak of 16 bits for 2
_SIDE = 32  # of the images that are compared
_MOST_COMPARED = 2048  # clips of train, and of val and test, that are compared with all others
_BLOCK = 2048
NEAR = 0.03  # of an image's norm: what MP3 or 1 dB changes. Sounds of other labels can be nearer


@dataclass
class Findings:
    """What each check found: the files, or for near copies a file and the one that it resembles."""

    found: dict[str, dict[str, str]] = field(default_factory=lambda: {check: {} for check in CHECKS})

    def add(self, check: str, file: str, other: str = "") -> None:
        self.found[check].setdefault(file, other)

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers: the number of files and the first ones of each check that found any."""
        plain = {}
        for check, files in self.found.items():
            first = [[file, other] if other else [file] for file, other in list(files.items())[:_EXAMPLES]]
            if files:
                plain[check] = {"files": len(files), "first": first}
        return plain

    def table(self) -> tuple[list[Column], list[list[str]]]:
        """Return the columns and rows of a table for the screen."""
        rows = []
        for check, files in self.found.items():
            if files:
                file, other = next(iter(files.items()))
                rows.append([CHECKS[check], f"{len(files):,}", f"{file}, {other}" if other else file])
        return [Column("check", text=True), Column("files"), Column("the first", text=True, drop=1)], rows


def is_clipped(samples: np.ndarray) -> bool:
    """Return whether some samples in a row of (T,) float32 are equal and at full scale."""
    loud = np.abs(samples) >= _FULL_SCALE
    held = np.concatenate([[0], (loud[1:] & (samples[1:] == samples[:-1])).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(held))
    return bool(len(edges)) and int((edges[1::2] - edges[::2]).max()) >= _HELD - 1


def find_near_copies(
    images: np.ndarray, labels: np.ndarray, sources: np.ndarray, in_train: np.ndarray
) -> Iterator[tuple[int, int, bool]]:
    """Yield (clip, the clip that it resembles most, whether the first is held out and the second in train).

    `images` (n, H, W) uint8 are the clips' levels; `labels` (n,) is equal for clips with the same labels, and `sources`
    (n,) for those of files with the same content, which are not compared; `in_train` (n,) bool. At most 4,096 clips are
    compared with all others of the same labels; the difference of their images, reduced to at most 32 x 32, is below
    3 % of the norm.
    """
    halves = [np.flatnonzero(in_train), np.flatnonzero(~in_train)]
    chosen = [half[evenly_spaced(len(half), _MOST_COMPARED)] for half in halves]
    for rows, held_out in zip(chosen, (False, True), strict=True):
        given = _reduced(images[rows])
        norms = np.square(given).sum(axis=1)
        nearest, least = np.zeros((2, len(rows)), np.int64), np.full((2, len(rows)), np.inf)
        for start in range(0, len(images), _BLOCK):
            block = slice(start, start + _BLOCK)
            others = _reduced(images[block])
            other_norms = np.square(others).sum(axis=1)
            apart = norms[:, None] + other_norms - 2.0 * given @ others.T
            apart /= np.maximum(np.maximum(norms[:, None], other_norms), 1.0)
            is_same = sources[rows][:, None] == sources[block]
            apart[is_same | (labels[rows][:, None] != labels[block])] = np.inf
            for at in range(2):
                best = apart.argmin(axis=1)
                value = apart[np.arange(len(rows)), best]
                closer = value < least[at]
                nearest[at][closer], least[at][closer] = start + best[closer], value[closer]
                apart[:, ~in_train[block]] = np.inf  # the second time only those in train
        for at in range(1 + held_out):
            for row in np.flatnonzero(least[at] < NEAR**2):
                yield int(rows[row]), int(nearest[at][row]), at == 1


def _reduced(images: np.ndarray) -> np.ndarray:
    """Return images (n, H, W) uint8 as rows (n, pixels) float32 of at most 32 x 32 pixels."""
    levels = torch.from_numpy(np.ascontiguousarray(images)).to(torch.float32)[:, None]
    sides = min(_SIDE, images.shape[1]), min(_SIDE, images.shape[2])
    return adaptive_avg_pool2d(levels, sides).flatten(1).numpy()
