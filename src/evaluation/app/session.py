"""What the page asks of a loaded model; the answers are plain values that JSON can hold."""

import base64
import io
import logging
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from scipy.io import wavfile

from src.data.origin import source_of
from src.data.source import Source
from src.evaluation.explain import explain
from src.evaluation.image_axes import known_axes
from src.evaluation.predict import Prediction, by_name, clip_image, make_front_end, predict_clip
from src.evaluation.recordings import parse_segmentation, predict_recordings
from src.evaluation.refinement.answers import Refiner, make_refiner
from src.evaluation.refinement.options import Options
from src.evaluation.reports.explanations import explanation_data
from src.evaluation.rerender import row_of
from src.models.build import load_checkpoint
from src.models.tasks.parameters import parameters_of
from src.models.vimh_lit_module import VIMHLitModule
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.spectral.audio_file import open_sound, read_clip
from src.spectral.front_end import FrontEnd
from src.utils.errors import UserError
from src.utils.files import path_text

MOST_SECONDS = 120  # of a recording: the answer holds it twice, 60 MB at 44.1 kHz
_STEPS = 5  # of refinement: enough for most sounds
_NAME = "sound"  # of an upload in messages; its own name stays in the browser


@dataclass(frozen=True)
class Session:
    """A loaded model, and what renders and refines its answers or, if nothing does, the reason."""

    model: VIMHLitModule
    front_end: FrontEnd
    trust: tuple[str, ...]
    source: Source | None
    refiner: Refiner | None
    not_rendered: str
    not_refined: str

    def describe(self) -> dict[str, Any]:
        """Return what the page shows of a model before it has a sound."""
        space, front_end = self.model.spec.space, self.front_end
        return {
            "parameters": [_described(spec) for spec in space],
            "middle": middle(space),
            "fixed": space.fixed,
            "channels": list(front_end.config.channels),
            "sample_rate": front_end.sample_rate,
            "seconds": front_end.num_samples / front_end.sample_rate,
            "visible_seconds": front_end.visible_seconds,
            "axes": known_axes(self.model.spec),
            "calibrated_on": int(parameters_of(self.model).calibration.samples),
            "not_rendered": self.not_rendered,
            "not_refined": self.not_refined,
        }

    def predict(self, content: bytes, channel: str | None, refined: bool = False) -> dict[str, Any]:
        """Return the answer for the bytes of a sound file, with the sound and the image as the model received them.

        Raises UserError for what is no sound, as `read_clip` does, and if the answer cannot be `refined`.
        """
        if refined and self.refiner is None:
            raise UserError(self.not_refined)
        front_end = self.front_end
        with _notes() as notes:
            with _file(content) as path:
                clip = read_clip(path, front_end.sample_rate, front_end.num_samples, channel)
            prediction = predict_clip(self.model, front_end, clip, _NAME, self.refiner if refined else None)
        return {
            **_answer(self.model.spec.space, prediction),
            "image": _image(front_end, clip),
            "sound": _text(wav(clip, front_end.sample_rate)),
            "notes": [*notes, *map(_sentence, prediction.warnings)],
        }

    def explain(self, content: bytes, channel: str | None) -> dict[str, Any]:
        """Return what the answer for a sound file depends on, see `explanation_data`; raise UserError as `predict`."""
        with _file(content) as path:
            clip = read_clip(path, self.front_end.sample_rate, self.front_end.num_samples, channel)
        model = deepcopy(self.model)  # its own: the maps are taken by hooks, which would hear of other requests too
        with _notes() as notes:
            explanation = explain(model, *clip_image(self.front_end, clip))
        return {**explanation_data(model, explanation), "notes": [_sentence(note) for note in notes]}

    def render(self, values: Mapping[str, float]) -> bytes:
        """Return the sound of values, by name and in their units, as a WAV file.

        Raises UserError for values out of range, and if the voice is missing or not trusted.
        """
        return wav(self._sound(values), self.front_end.sample_rate)

    def _sound(self, values: Mapping[str, float]) -> np.ndarray:
        if self.source is None:
            raise UserError(self.not_rendered)
        return self.source.synth.render(row_of(self.model.spec.space, values))[:, 0]

    def hear(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Return what the model hears in the sound of values: its answer and the image; raise UserError as `render`."""
        sound = self._sound(values)
        prediction = predict_clip(self.model, self.front_end, sound, "re-synthesis")
        return {**_answer(self.model.spec.space, prediction), "image": _image(self.front_end, sound)}

    def segment(self, content: bytes, channel: str | None, config: DictConfig) -> dict[str, Any]:
        """Return the answer for each segment of a recording, the recording as the model received it, and its sound.

        `config` has the keys of configs/predict.yaml. Raises UserError for what is no sound, is too long, or has no
        onset.
        """
        segmentation = parse_segmentation(config)
        with _notes() as notes, _file(content) as path:
            with open_sound(path, channel) as sound:
                if sound.frames > MOST_SECONDS * sound.samplerate:
                    raise UserError(
                        f"{_NAME}: longer than {MOST_SECONDS} s, or of unknown length; cut it, or use src/predict.py"
                    )
            found, faults = predict_recordings(self.model, [path], channel, segmentation, path.parent, self.trust)
            if faults:
                raise UserError(faults[0])
            predicted = path.with_name(f"{_NAME}_predicted.wav")
            return {
                "segments": [_answer(self.model.spec.space, one) | {"times": one.times} for one in found[_NAME]],
                "sound": _text(path.with_name(f"{_NAME}_input.wav").read_bytes()),
                "predicted": _text(predicted.read_bytes()) if predicted.exists() else None,
                "notes": notes,
            }


def open_session(path: Path, trust: Iterable[str] = ()) -> Session:
    """Load a checkpoint; raise UserError if it cannot be read or predicts no parameters of sounds.

    A missing or untrusted voice is no error: predictions do not need it.
    """
    torch.set_num_threads(1)  # a second thread makes one clip no faster, and much slower on a busy machine
    model, trust = load_checkpoint(path, trust), tuple(trust)
    space, front_end = parameters_of(model).space, make_front_end(model.spec)
    source, refiner, not_rendered, not_refined = None, None, "", ""
    try:
        source = source_of(model.spec, trust)
    except UserError as error:
        not_rendered = not_refined = str(error)
    if source is not None:
        try:
            refiner = make_refiner(model, model.spec, Options(iterations=_STEPS), trust)
        except UserError as error:
            not_refined = str(error)
    session = Session(model, front_end, trust, source, refiner, not_rendered, not_refined)
    if source is not None:
        session.hear(middle(space))  # compiles the voice, so that the first sound does not wait for it
    return session


def middle(space: ParameterSpace) -> dict[str, float]:
    """Return the value in the middle of each parameter's range, or the class next to it."""
    row = space.on_grid(space.denormalize(np.full(len(space), 0.5)))
    return dict(zip(space.names, row.tolist(), strict=True))


def _described(spec: ParameterSpec) -> dict[str, Any]:
    keys = {"name", "min", "max", "step", "unit", "scale", "kind", "description", "values"}
    return spec.model_dump(mode="json", include=keys) | {"num_classes": spec.num_classes}


def wav(sound: np.ndarray, sample_rate: int) -> bytes:
    """Return a sound (T,) float32 as a WAV file of floats, which keep levels above full scale."""
    content = io.BytesIO()
    wavfile.write(content, sample_rate, sound)  # libsndfile would put the time into the header
    return content.getvalue()


def _answer(space: ParameterSpace, prediction: Prediction) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "values": by_name(space, prediction.values),
        "uncertainties": by_name(space, prediction.uncertainties),
        "low_90": by_name(space, prediction.low_90),
        "high_90": by_name(space, prediction.high_90),
    }
    if prediction.refinement is not None:
        answer["refinement"] = asdict(prediction.refinement)
    return answer


def _image(front_end: FrontEnd, clip: np.ndarray) -> dict[str, Any]:
    """Return the image (C, H, W) of a clip (T,) as bytes, row 0 the lowest frequency, and the dB of 0 and 255."""
    with torch.inference_mode():
        image, scale = clip_image(front_end, clip)
    return {
        "shape": list(image.shape[1:]),
        "levels": _text(front_end.to_bytes(image).numpy().tobytes()),
        "decibels": scale[0].tolist(),
    }


def _sentence(warning: str) -> str:
    return f"{warning[0].upper()}{warning[1:]}."


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    """Yield a file that holds an upload, in a folder of its own; both are removed, and no error names the folder."""
    with tempfile.TemporaryDirectory(prefix="nsmt_app_") as folder:
        path = Path(folder) / _NAME
        path.write_bytes(content)
        try:
            yield path
        except UserError as error:
            raise UserError(str(error).replace(f"{path_text(folder)}/", "")) from error


@contextmanager
def _notes() -> Iterator[list[str]]:
    """Collect what this thread logs as a warning: every change to a sound is one."""
    notes: list[str] = []
    own = threading.get_ident()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == own:
                notes.append(record.getMessage())

    collector = Collector(logging.WARNING)
    logger = logging.getLogger("src")
    logger.addHandler(collector)
    try:
        yield notes
    finally:
        logger.removeHandler(collector)
