"""Predictions for recordings that are longer than a model's clip: cut into segments, predicted one by one, joined."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from src.data.recipe import describe
from src.evaluation.predict import Prediction, make_front_end, predict_clip, predict_each, rendered
from src.evaluation.refinement.answers import Refiner
from src.evaluation.rerender import rendering_source
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.audio_file import SILENCE
from src.spectral.onsets import onset_curve, pick_onsets, shift_to_attack, surroundings
from src.spectral.recording import cut_clips, join_clips, read_blocks, write_blocks
from src.utils.errors import UserError
from src.utils.files import path_text
from src.utils.plain import to_plain

log = logging.getLogger(__name__)

_FADE = 0.01  # s of a rendered clip's end under the next clip: shorter is heard as a click


class Onsets(BaseModel):
    """When a note begins; see src.spectral.onsets."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    threshold: float = Field(gt=0, description="dB above the usual flux")
    floor: float = Field(ge=-200, lt=0, description="dB, full-scale sine = 0")
    min_gap: float = Field(ge=0.05, le=3600, description="s; the spectrum resolves no shorter one")


class Segmentation(BaseModel):
    """How a recording is cut: the keys of configs/predict.yaml."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    segment: Literal["onsets", "fixed"]
    onsets: Onsets
    hop: float | None = Field(ge=0.01, le=3600, description="s; null: the length of a clip")


def parse_segmentation(config: DictConfig) -> Segmentation:
    """Return what a config says of the segments; a UserError lists the faults."""
    try:
        return Segmentation.model_validate(to_plain(OmegaConf.masked_copy(config, list(Segmentation.model_fields))))
    except ValidationError as error:
        raise UserError(describe(error)) from error


def predict_recordings(
    model: VIMHLitModule,
    paths: list[Path],
    channel: str | None,
    segmentation: Segmentation,
    render_dir: Path | None,
    trust: Iterable[str] = (),
    refiner: Refiner | None = None,
) -> tuple[dict[str, list[Prediction]], list[str]]:
    """Predict the segments of each file; return them by the file's name, and a one-line error for each failed file.

    With `render_dir` each recording is also written there as the model received it, and as the sound of its
    predictions: each plays until the next begins. Files are read in blocks, so that memory does not grow with them.
    """
    front_end = make_front_end(model.spec)
    rate, num_samples = front_end.sample_rate, front_end.num_samples
    source = rendering_source(model.spec, trust) if render_dir is not None else None

    def predict_file(path: Path, stem: str) -> Iterator[Prediction]:
        name = path_text(path.name)
        length, starts = find_segments(path, rate, num_samples, channel, segmentation)
        predicted: dict[int, np.ndarray] = {}  # values by start
        clips = cut_clips(read_blocks(path, rate, channel, warn=False), starts, num_samples)
        for start, clip in zip(starts, clips, strict=True):
            if np.abs(clip).max() < SILENCE:
                continue
            prediction = predict_clip(model, front_end, clip, f"{name} {start / rate:.3f} s", refiner)
            prediction = replace(prediction, times=(start / rate, min(start + num_samples, length) / rate))
            predicted[start] = prediction.values
            yield prediction
        if not predicted:
            raise UserError(f"{path_text(path)}: silent (below -80 dB); raise its level")
        if len(predicted) < len(starts):
            log.warning("%s: %d silent segments are left out", name, len(starts) - len(predicted))
        if render_dir is None:
            return
        write_blocks(render_dir / f"{stem}_input.wav", read_blocks(path, rate, channel, warn=False), rate, length)
        if source is not None:
            silence = np.zeros(num_samples, np.float32)
            sounds = (rendered(source, values) for values in predicted.values())
            played = (silence if sound is None else sound for sound in sounds)
            blocks = join_clips(list(predicted), played, length, round(_FADE * rate))
            write_blocks(render_dir / f"{stem}_predicted.wav", blocks, rate, length)

    return predict_each(paths, predict_file)


def find_segments(
    path: Path, sample_rate: int, num_samples: int, channel: str | None, segmentation: Segmentation
) -> tuple[int, Sequence[int]]:
    """Return the number of samples of a recording at `sample_rate` and the first sample of each segment.

    Raises UserError if the file cannot be read, or if it has no onset.
    """
    onsets, length = segmentation.onsets, 0
    curves, state = [], None
    ending = np.zeros(sample_rate // 10, np.float32)  # completes the last frames
    for block in itertools.chain(read_blocks(path, sample_rate, channel), [ending]):
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
