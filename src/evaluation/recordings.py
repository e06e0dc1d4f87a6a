"""Predictions for recordings that are longer than a model's clip: cut into segments, predicted one by one, joined."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from src.evaluation.each_file import for_each_file
from src.evaluation.predict import OR_NO_SOUNDS, Explainer, Prediction, make_front_end, predict_clip, rendered
from src.evaluation.refinement.answers import Refiner
from src.evaluation.rerender import rendering_source
from src.models.ensemble import Predictor
from src.spectral.audio_file import SILENCE
from src.spectral.recording import cut_clips, join_clips, read_blocks, write_blocks
from src.spectral.segments import Segmentation, find_segments
from src.utils.errors import UserError
from src.utils.files import path_text
from src.utils.invalid import describe
from src.utils.plain import to_plain

log = logging.getLogger(__name__)

_FADE = 0.01  # s of a rendered clip's end under the next clip: shorter is heard as a click


def parse_segmentation(config: DictConfig) -> Segmentation:
    """Return what a config says of the segments; a UserError lists the faults."""
    try:
        return Segmentation.model_validate(to_plain(OmegaConf.masked_copy(config, list(Segmentation.model_fields))))
    except ValidationError as error:
        raise UserError(describe(error)) from error


def predict_recordings(
    model: Predictor,
    paths: list[Path],
    channel: str | None,
    segmentation: Segmentation,
    render_dir: Path | None,
    trust: Iterable[str] = (),
    refiner: Refiner | None = None,
    explainer: Explainer | None = None,
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
            if explainer is not None:
                explainer(clip, f"{stem}_{start / rate:.3f}s")
            yield prediction
        if not predicted:
            raise UserError(f"{path_text(path)}: silent (below -80 dB); raise its level")
        if len(predicted) < len(starts):
            log.warning("%s: silent segments left out: %d of %d", name, len(starts) - len(predicted), len(starts))
        if render_dir is None:
            return
        write_blocks(render_dir / f"{stem}_input.wav", read_blocks(path, rate, channel, warn=False), rate, length)
        if source is not None:
            silence = np.zeros(num_samples, np.float32)
            sounds = (rendered(source, values) for values in predicted.values())
            played = (silence if sound is None else sound for sound in sounds)
            blocks = join_clips(list(predicted), played, length, round(_FADE * rate))
            write_blocks(render_dir / f"{stem}_predicted.wav", blocks, rate, length)

    return for_each_file(paths, predict_file, OR_NO_SOUNDS)
