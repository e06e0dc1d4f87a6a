"""Predictions for sounds and datasets, from a model alone: its spec carries front end and synth."""

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.data.spec import DatasetSpec, read_spec
from src.data.vimh_dataset import VIMHDataset, images_to_float
from src.evaluation.evaluate import require_same_task
from src.evaluation.rerender import rendering_source
from src.models.multi_head import Estimates
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.audio_file import SUFFIXES, read_clip, write_clip
from src.spectral.config import SpectralConfig
from src.spectral.front_end import FrontEnd
from src.synth.parameters import ParameterSpace
from src.utils.errors import UserError

_BATCH = 512


@dataclass(frozen=True)
class Prediction:
    """What a model predicts of one sound, (P,) each, in physical units; see src.models.multi_head.Estimates."""

    name: str
    values: np.ndarray
    uncertainties: np.ndarray  # NaN where nothing was measured
    low_90: np.ndarray  # of the 90 % interval; NaN for a category
    high_90: np.ndarray


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
            estimates = Estimates(*(one[0].numpy().astype(np.float64) for one in model.predict(image, scale)))
        predictions.append(_prediction(path.name, estimates))
        if render_dir is not None:
            stem = path.name if stems.count(path.stem) > 1 else path.stem  # a.wav and a.flac: two sounds
            write_clip(render_dir / f"{stem}_input.wav", clip, front_end.sample_rate)
            if source is not None:
                again = source.synth.render(estimates.values[None])[:, 0]
                write_clip(render_dir / f"{stem}_predicted.wav", again, front_end.sample_rate)
    return predictions, faults


def predict_dataset(model: VIMHLitModule, directory: Path) -> list[Prediction]:
    """Predict the test split of a VIMH directory."""
    spec = read_spec(directory)
    require_same_task(model.spec, spec)
    estimates = estimate_dataset(model, VIMHDataset(directory, "test", spec=spec))
    return [_prediction(f"test {row}", Estimates(*one)) for row, one in enumerate(zip(*estimates, strict=True))]


def estimate_dataset(model: VIMHLitModule, dataset: VIMHDataset) -> Estimates:
    """Return the estimates of a split's samples in order, as arrays (n, P) float64."""
    device = next(model.parameters()).device
    found = np.empty((len(Estimates._fields), len(dataset), len(model.spec.space)))
    for rows in dataset.batches_by_shape(_BATCH):
        batch = dataset.__getitems__(rows)
        with torch.inference_mode():
            estimates = model.predict(images_to_float(batch["image"]).to(device), batch["scale"].to(device))
        found[:, rows] = torch.stack(estimates).cpu().numpy()
    return Estimates(*found)


def _prediction(name: str, estimates: Estimates) -> Prediction:
    return Prediction(name, estimates.values, estimates.uncertainties, estimates.low_90, estimates.high_90)


def write_predictions(predictions: list[Prediction], space: ParameterSpace, output_dir: Path) -> None:
    """Write predictions.csv, a row a sound, and predictions.json, with units."""
    suffixes = ("", "_uncertainty", "_low_90", "_high_90")
    with (output_dir / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *(f"{name}{suffix}" for suffix in suffixes for name in space.names)])
        for one in predictions:
            row = [*one.values, *one.uncertainties, *one.low_90, *one.high_90]
            writer.writerow([one.name, *(f"{number:.6g}" for number in row)])
    content = {
        "units": {one.name: one.unit for one in space},
        "fixed": space.fixed,
        "predictions": {one.name: _by_name(space, one.values) for one in predictions},
        "uncertainties": {one.name: _by_name(space, one.uncertainties) for one in predictions},
        "intervals_90": {
            one.name: _by_name(space, one.low_90, "_low_90") | _by_name(space, one.high_90, "_high_90")
            for one in predictions
        },
    }
    (output_dir / "predictions.json").write_text(json.dumps(content, indent=2) + "\n")


def _by_name(space: ParameterSpace, numbers: np.ndarray, suffix: str = "") -> dict[str, float | None]:
    """Return numbers (P,) by parameter; JSON has no NaN, so that what is not known is null."""
    known = [number if math.isfinite(number) else None for number in numbers.tolist()]
    return {f"{name}{suffix}": number for name, number in zip(space.names, known, strict=True)}
