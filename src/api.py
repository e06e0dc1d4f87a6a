"""The Python API: load a model, predict the parameters of a sound, render them, test the model.

    from src import api

    model = api.load("best")
    prediction = api.predict(model, audio, sample_rate=44100)
    sound, sample_rate = api.render(model, prediction.values)

PyTorch is imported only when a function needs it, so importing this module is fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.run.checkpoints import find_checkpoint
from src.utils.errors import UserError, shown

if TYPE_CHECKING:
    from src.evaluation.evaluate import Evaluation
    from src.evaluation.predict import Refinement
    from src.models.vimh_lit_module import VIMHLitModule

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one sound: each field maps parameter names to values in the parameter's unit.

    `uncertainties` are standard uncertainties, `low` and `high` the ends of 90 % intervals; see docs/uncertainty.md.
    Unknown values are NaN. The uncertainty of a category is the probability that it is wrong; it has no interval.
    `distance` says how unlike the validation sounds of its training the sound is: 1 % of them are above 1. It is
    None for checkpoints of older versions and after fewer than 100 validation sounds. `warnings` are the reasons to
    distrust the prediction.
    `refinement` has the network's own values and how well the images agree; None if the answer was not refined.
    """

    values: dict[str, float]
    uncertainties: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    units: dict[str, str]
    distance: float | None
    warnings: tuple[str, ...]
    refinement: Refinement | None = None


def load(checkpoint: str | Path = "best", trust: Iterable[str] = ()) -> VIMHLitModule:
    """Load a trained model: a .ckpt file, or `best` or `last` of the newest run in logs/.

    `trust` lists the dotted paths of your own modules or classes that the checkpoint may name; see docs/security.md.
    Raises UserError, one line, if the file is missing or damaged.
    """
    from src.models.build import load_checkpoint

    return load_checkpoint(find_checkpoint(str(checkpoint), ROOT / "logs"), trust)


def predict(
    model: VIMHLitModule,
    audio: np.ndarray,
    sample_rate: int,
    refine: int | Mapping[str, Any] = 0,
    trust: Iterable[str] = (),
) -> Prediction:
    """Predict the parameters of a mono sound (T,): floats, full scale +-1, or integers of 8, 16 or 32 bits.

    The sound is resampled, and trimmed or padded with silence, to fit the model; each change is logged as a warning.
    `refine` is the number of steps from the network's answer towards the sound's image, or a mapping of the settings in
    docs/refinement.md, such as {"iterations": 5, "starts": 3}.
    Raises UserError for silence, samples that are not finite, and models that were not trained on sounds, and with
    `refine` for a wrong setting, and if the synth is not available or not trusted.
    """
    from src.evaluation.predict import make_front_end, predict_clip
    from src.evaluation.refinement.answers import make_refiner
    from src.evaluation.refinement.options import make_options
    from src.spectral.audio_file import RATES, fit_clip, to_mono

    options = make_options(refine)
    sound = to_mono(audio)
    if not (isinstance(sample_rate, Real) and RATES[0] <= sample_rate <= RATES[-1]):
        raise UserError(f"sample_rate: {shown(sample_rate)} given; give {RATES[0]} to {RATES[-1]} Hz")
    front_end = make_front_end(model.spec)
    clip = fit_clip(sound, int(sample_rate), front_end.sample_rate, front_end.num_samples)
    refiner = None if options is None else make_refiner(model, model.spec, options, trust)
    found = predict_clip(model, front_end, clip, "audio", refiner)
    space = model.spec.space

    def by_name(numbers: np.ndarray) -> dict[str, float]:
        return dict(zip(space.names, numbers.tolist(), strict=True))

    return Prediction(
        values=by_name(found.values),
        uncertainties=by_name(found.uncertainties),
        low=by_name(found.low_90),
        high=by_name(found.high_90),
        units={spec.name: spec.unit for spec in space},
        distance=found.distance if isfinite(found.distance) else None,
        warnings=found.warnings,
        refinement=found.refinement,
    )


def render(model: VIMHLitModule, values: Mapping[str, float], trust: Iterable[str] = ()) -> tuple[np.ndarray, int]:
    """Render parameter values, by name and in their units, with the synth of the model's training sounds.

    Return (T,) float32 and the sample rate in Hz. Raises UserError for values outside of the model's range, and if the
    synth is not available or not trusted.
    """
    from src.data.origin import source_of
    from src.evaluation.rerender import row_of

    row = row_of(model.spec.space, values)
    source = source_of(model.spec, trust)
    return source.synth.render(row)[:, 0], source.synth.config.sample_rate


def evaluate(
    checkpoint: str | Path = "best", data_dir: str | Path | None = None, trust: Iterable[str] = ()
) -> Evaluation:
    """Test a checkpoint on the test split of a VIMH directory, by default the dataset that it was trained on.

    The results are those that `python src/eval.py` prints; `rows` has one entry for each parameter.
    """
    from lightning import Trainer

    from src.cli.instantiate import quiet_lightning
    from src.data.reopen import reopened
    from src.data.vimh_datamodule import VIMHDataModule
    from src.evaluation.evaluate import evaluate as measure
    from src.evaluation.evaluate import require_same_targets
    from src.models.build import read_checkpoint, restore_model

    quiet_lightning()
    contents = read_checkpoint(find_checkpoint(str(checkpoint), ROOT / "logs"), trust)
    model = restore_model(contents)
    directory = str(data_dir or ROOT / "data" / model.spec.name)
    settings = contents["data_settings"]
    found = reopened(settings, trust, data_dir, ROOT / "data")
    datamodule = found or VIMHDataModule(directory, trust=tuple(trust), **settings)
    require_same_targets(model.spec, datamodule.spec, model.heads.uses_labels)
    trainer = Trainer(
        logger=False, callbacks=[], enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )
    return measure(model, datamodule, trainer)
