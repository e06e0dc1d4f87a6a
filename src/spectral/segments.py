"""Where the segments of a recording begin: one for each note, or at fixed distances."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from src.spectral.onsets import onset_curve, pick_onsets, shift_to_attack, surroundings
from src.spectral.recording import cut_clips, read_blocks
from src.utils.errors import UserError
from src.utils.files import path_text


class Onsets(BaseModel):
    """When a note begins; see src.spectral.onsets."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    threshold: float = Field(2.0, gt=0, description="dB above the usual flux")
    floor: float = Field(-60.0, ge=-200, lt=0, description="dB, full-scale sine = 0")
    min_gap: float = Field(0.1, ge=0.05, le=3600, description="s; the spectrum resolves no shorter one")


class Segmentation(BaseModel):
    """How a recording is cut: the keys of configs/predict.yaml."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    segment: Literal["onsets", "fixed"]
    onsets: Onsets
    hop: float | None = Field(ge=0.01, le=3600, description="s; null: the length of a clip")


def find_segments(
    path: Path, sample_rate: int, num_samples: int, channel: str | None, segmentation: Segmentation, warn: bool = True
) -> tuple[int, Sequence[int]]:
    """Return the number of samples of a recording at `sample_rate` and the first sample of each segment.

    With `warn` each change of the sound is logged. Raises UserError if the file cannot be read, or if it has no onset.
    """
    onsets, length = segmentation.onsets, 0
    curves, state = [], None
    ending = np.zeros(sample_rate // 10, np.float32)  # completes the last frames
    for block in itertools.chain(read_blocks(path, sample_rate, channel, warn), [ending]):
        length += len(block)
        if segmentation.segment == "onsets":
            curve, state = onset_curve(block, sample_rate, onsets.floor, state)
            curves.append(curve)
    length -= len(ending)
    if segmentation.segment == "fixed":
        hop = num_samples if segmentation.hop is None else max(1, round(segmentation.hop * sample_rate))
        return length, range(0, length, hop)
    starts = pick_onsets(np.concatenate(curves), sample_rate, onsets.threshold, onsets.min_gap)
    lead, count = surroundings(sample_rate)
    blocks = itertools.chain([np.zeros(lead, np.float32)], read_blocks(path, sample_rate, channel, warn=False))
    around = cut_clips(blocks, starts, count)  # silence of length `lead` precedes the recording
    shifts = [shift_to_attack(samples, sample_rate, onsets.floor) for samples in around]
    starts = [max(0, start + shift) for start, shift in zip(starts, shifts, strict=True)]
    starts = [start for start in starts if start < length]
    if not starts:
        raise UserError(
            f"{path_text(path)}: no onset found; lower onsets.threshold or onsets.floor, or give segment=fixed"
        )
    return length, starts
