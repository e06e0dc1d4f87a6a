"""Predictions for sounds and datasets, from a model alone: its spec carries front end and synth."""

import csv
import json
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.data.source import Source
from src.data.spec import DatasetSpec, read_spec
from src.data.vimh_dataset import VIMHDataset, images_to_float
from src.evaluation.evaluate import require_same_task
from src.evaluation.rerender import rendering_source
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.audio_file import SUFFIXES, read_clip, write_clip
from src.spectral.config import SpectralConfig
from src.spectral.front_end import FrontEnd
from src.synth.parameters import ParameterSpace
from src.utils.errors import UserError

log = logging.getLogger(__name__)

_BATCH = 512


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sound: (P,) values and (P,) uncertainties, both in physical units."""

    name: str
    values: np.ndarray
    uncertainties: np.ndarray  # see MultiHead.uncertainties; NaN where the model cannot tell


def sound_files(source: Path) -> list[Path]:
    """Return the sound files that a path means; UserError when there are none."""
    if not source.is_dir():
        return [source]
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"input: {source} holds no sound file ({', '.join(SUFFIXES)}) and no VIMH dataset")
    return found


def make_front_end(spec: DatasetSpec) -> FrontEnd:
    """Return the front end that made a dataset; UserError when its description does not tell."""
    if spec.spectral is None or spec.sample_rate is None or spec.duration is None:
        raise UserError(f"{spec.name}: its JSON does not tell the front end, so that no sound can be analysed like it")
    num_samples = round(spec.duration * spec.sample_rate)
    return FrontEnd(SpectralConfig.model_validate(spec.spectral), round(spec.sample_rate), num_samples)


def predict_files(
    model: VIMHLitModule, paths: list[Path], channel: str | None, render_dir: Path | None, trust: Iterable[str] = ()
) -> tuple[list[Prediction], list[str]]:
    """Predict each file; return the predictions, and one line for each file that could not be read.

    With `render_dir` each prediction is also rendered there, beside its input as the model heard it, by a voice of
    ours or one that `trust` names.
    """
    front_end = make_front_end(model.spec)
    source = rendering_source(model.spec, trust) if render_dir is not None else None
    stems = [path.stem for path in paths]
    predictions, faults = [], []
    for path in paths:
        try:
            clip = read_clip(path, front_end.sample_rate, front_end.num_samples, channel)
        except UserError as error:
            faults.append(str(error))
            continue
        with torch.inference_mode():
            image, scale = front_end(torch.from_numpy(clip)[None])
            image = images_to_float(front_end.to_bytes(image))  # the network was trained on bytes
            values, uncertainties = (one[0].numpy().astype(np.float64) for one in model.predict(image, scale))
        predictions.append(Prediction(path.name, values, uncertainties))
        if render_dir is not None:
            stem = path.name if stems.count(path.stem) > 1 else path.stem  # a.wav and a.flac: two sounds
            write_clip(render_dir / f"{stem}_input.wav", clip, front_end.sample_rate)
            again = _rendered(source, values)
            if again is not None:
                write_clip(render_dir / f"{stem}_predicted.wav", again, front_end.sample_rate)
    return predictions, faults


def _rendered(source: Source | None, values: np.ndarray) -> np.ndarray | None:
    """Return the sound (T,) of values (P,), or None where no synth is here, or it fails on them."""
    try:
        return None if source is None else source.synth.render(values[None])[:, 0]
    except UserError as error:  # the prediction stands without its sound
        log.warning("not rendered: %s", error)
        return None


def predict_dataset(model: VIMHLitModule, directory: Path) -> list[Prediction]:
    """Predict the test split of a VIMH directory."""
    spec = read_spec(directory)
    require_same_task(model.spec, spec)
    dataset = VIMHDataset(directory, "test", spec=spec)
    chunks = [range(start, min(start + _BATCH, len(dataset))) for start in range(0, len(dataset), _BATCH)]
    if dataset.records.offsets is not None:
        chunks = dataset.batches_by_shape(_BATCH)
    answers = np.empty((2, len(dataset), len(spec.space)))
    for rows in chunks:
        batch = dataset.__getitems__(rows)
        with torch.inference_mode():
            answers[:, rows] = torch.stack(model.predict(images_to_float(batch["image"]), batch["scale"])).numpy()
    return [Prediction(f"test {row}", *pair) for row, pair in enumerate(zip(*answers, strict=True))]


def write_predictions(predictions: list[Prediction], space: ParameterSpace, output_dir: Path) -> None:
    """Write predictions.csv, a row a sound, and predictions.json, with units."""
    with (output_dir / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *space.names, *(f"{name}_uncertainty" for name in space.names)])
        numbers = ((one.name, [*one.values, *one.uncertainties]) for one in predictions)
        writer.writerows([name, *(f"{number:.6g}" for number in row)] for name, row in numbers)
    content = {
        "units": {one.name: one.unit for one in space},
        "fixed": space.fixed,
        "predictions": {one.name: dict(zip(space.names, one.values.tolist(), strict=True)) for one in predictions},
        "uncertainties": {
            one.name: dict(zip(space.names, map(_known, one.uncertainties.tolist()), strict=True))
            for one in predictions
        },
    }
    (output_dir / "predictions.json").write_text(json.dumps(content, indent=2) + "\n")


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None  # JSON has no NaN
