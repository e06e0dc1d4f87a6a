"""True sounds against predicted ones over a whole test split, by all audio metrics, beside reference rows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from src.data.datamodule import BatchDataModule
from src.data.dataset import BatchDataset, images_to_float
from src.data.origin import source_of
from src.data.source import Source
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.baselines import typical_values
from src.evaluation.intervals import Interval, interval, resampled_means
from src.evaluation.metrics.clips import LOWEST_RATE, PEER_RATE, resample
from src.evaluation.metrics.frechet import frechet_distance, log_mel_statistics
from src.evaluation.metrics.table import METRICS
from src.evaluation.refinement.descend import descend
from src.evaluation.refinement.problem import Problem
from src.evaluation.refinement.refine import difference_steps
from src.models.tasks.parameters import parameters_of
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError, shown

EXACT, ROUNDED, LIMIT, MEAN = "exact labels", "byte labels", "image limit", "mean baseline"

_BLOCK = 128  # clips in memory at once
_MOST_SAMPLES = 2**23  # of a block, at the rate of the metrics: fewer clips if they are long
_AT_ONCE = 8  # clips whose metrics are computed together: a quarter faster than 32, whose spectra fit no cache
_LIMIT_STEPS, _LIMIT_SD = 10, 0.3  # from the truth most clips need two; a prior as wide as the range changes nothing
_HIGHEST_RATE = 192_000  # Hz


@dataclass(frozen=True)
class Summary:
    """One metric of one candidate. The interval is that of the mean, both over the clips that have a value."""

    mean: float | None
    median: float | None
    interval: Interval | None
    clips: int


@dataclass(frozen=True)
class AudioRow:
    """The results of one candidate: predicted sounds, or a reference."""

    name: str
    metrics: dict[str, Summary]
    fad_logmel: float | None  # of the whole set; None for too few clips


@dataclass(frozen=True)
class AudioResults:
    """The results of all candidates, predictions first."""

    dataset: str
    num_clips: int
    sample_rate: int  # Hz: of the metrics
    rendered_rate: int  # Hz: of the sounds, before they are resampled
    rows: tuple[AudioRow, ...]
    notes: tuple[str, ...]  # what a reader of the figures should know

    def to_json(self) -> bytes:
        """Return the contents of audio_results.json."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


@dataclass(frozen=True)
class AudioComparison:
    """True and compared values (n, P) in physical units, each candidate's metrics (n,) by name, and their summary."""

    source: Source
    truth: np.ndarray
    candidates: dict[str, np.ndarray]
    metrics: dict[str, dict[str, np.ndarray]]
    results: AudioResults


def audio_source(model: VIMHLitModule, datamodule: BatchDataModule, sample_rate: int | None) -> Source:
    """Return the synth that made a dataset; raise UserError if its sounds cannot be rendered and compared here.

    `sample_rate` in Hz is that of the metrics; None is the synth's own.
    """
    parameters_of(model)
    if sample_rate is not None and (type(sample_rate) is not int or not LOWEST_RATE <= sample_rate <= _HIGHEST_RATE):
        raise UserError(
            f"metrics.sample_rate: {shown(sample_rate)} given; give {LOWEST_RATE} to {_HIGHEST_RATE} Hz, "
            f"or null for the synth's own"
        )
    try:
        source = source_of(datamodule.spec, datamodule.trust)
    except UserError as error:
        raise UserError(f"audio: true given, but no sound can be rendered: {error}") from error
    if sample_rate is None and source.front_end.sample_rate < LOWEST_RATE:
        raise UserError(
            f"metrics.sample_rate: null given, but the synth's {source.front_end.sample_rate} Hz are too few for "
            f"audio metrics; give {PEER_RATE}"
        )
    return source


def compare_audio(
    datamodule: BatchDataModule, source: Source, predicted: Mapping[str, np.ndarray], sample_rate: int | None
) -> AudioComparison:
    """Compare the test split's true sounds with those of predicted values (n, P), and with the reference rows.

    `predicted` maps names to values in physical units; `source` is that of `audio_source`.
    """
    spec = datamodule.spec
    test = VIMHDataset(datamodule.data_dir, "test", "exact", spec=spec)  # also if the model was trained on byte labels
    labels = spec.space.denormalize(test.targets())
    truth = labels if test.values is None else test.values[: len(test)].astype(np.float64)
    candidates, notes = dict(predicted), []
    if test.quantised:
        notes.append(
            "the dataset holds no exact values, so the true sounds are rendered from labels that are rounded to bytes"
        )
    else:
        candidates[EXACT] = labels
        candidates[ROUNDED] = spec.space.from_byte(spec.space.to_byte(truth))
    if not test.quantised and any(parameter.kind == "continuous" for parameter in spec.space):
        candidates[LIMIT] = image_limit(source, test, truth)
    known = spec.space.denormalize(datamodule.dataset("train").targets())
    candidates[MEAN] = np.tile(typical_values(spec.space, known), (len(truth), 1))

    rate = sample_rate or source.front_end.sample_rate
    metrics, embeddings = _measure(source, truth, candidates, rate)
    distances, note = _distances(embeddings)
    rows = [
        AudioRow(name, {metric: summarise(values) for metric, values in metrics[name].items()}, distances[name])
        for name in candidates
    ]
    results = AudioResults(
        dataset=spec.name,
        num_clips=len(truth),
        sample_rate=rate,
        rendered_rate=source.front_end.sample_rate,
        rows=tuple(rows),
        notes=(*notes, *note),
    )
    return AudioComparison(source, truth, candidates, metrics, results)


def image_limit(source: Source, dataset: BatchDataset, truth: np.ndarray) -> np.ndarray:
    """Return the values (n, P) that fit each stored image best, sought from the true values (n, P).

    They are what a perfect method could find in the image. Parameters that are not continuous keep their true value.
    """
    space = source.synth.space
    steps = difference_steps(source, np.array([parameter.kind == "continuous" for parameter in space]))
    found = np.empty(truth.shape)
    for start in range(0, len(truth), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(truth)))
        batch = dataset.__getitems__(rows)
        unit = space.normalize(truth[rows])
        problem = Problem(
            source=source,
            images=images_to_float(batch["image"]).numpy(),
            scale=batch["scale"].numpy(),
            start=unit,
            sd=np.full(unit.shape, _LIMIT_SD),
            steps=steps,
            kind="db",
        )
        no_scan = np.zeros(unit.shape)
        found[rows] = space.denormalize(descend(problem, unit, np.arange(len(rows)), no_scan, _LIMIT_STEPS)[0])
    return found


def summarise(values: np.ndarray) -> Summary:
    """Return the mean, its 95 % interval and the median of a metric's values (n,), of which some may be NaN."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Summary(None, None, None, 0)
    means = resampled_means(known[:, None])[:, 0]
    return Summary(float(known.mean()), float(np.median(known)), interval(means, len(known)), len(known))


def _measure(
    source: Source, truth: np.ndarray, candidates: Mapping[str, np.ndarray], rate: int
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Tensor]]:
    """Return each candidate's metrics (n,) by name, and the embeddings (n, D) of all sets of sounds.

    The true sounds' embeddings have the name of no candidate, "".
    """
    own_rate = source.front_end.sample_rate
    samples = source.front_end.num_samples * max(rate, own_rate) // own_rate
    block = max(1, min(_BLOCK, _MOST_SAMPLES // samples))
    metrics = {name: {metric: np.empty(len(truth)) for metric in METRICS} for name in candidates}
    embedded: dict[str, list[Tensor]] = {name: [] for name in ("", *candidates)}
    for start in range(0, len(truth), block):
        rows = slice(start, start + block)
        true = _sounds(source, truth[rows], rate)
        embedded[""].append(log_mel_statistics(true, rate))
        for name, values in candidates.items():
            sounds = _sounds(source, values[rows], rate)
            embedded[name].append(log_mel_statistics(sounds, rate))
            for at in range(0, len(true), _AT_ONCE):
                part = slice(at, at + _AT_ONCE)
                with torch.inference_mode():
                    for metric, found in metrics[name].items():
                        distance = METRICS[metric].function(sounds[part], true[part], rate)
                        found[rows][part] = distance.numpy()
    return metrics, {name: torch.cat(parts) for name, parts in embedded.items()}


def _sounds(source: Source, values: np.ndarray, rate: int) -> Tensor:
    return resample(
        torch.from_numpy(source.sounds(source.synth.space.on_grid(values))), source.front_end.sample_rate, rate
    )


def _distances(embeddings: Mapping[str, Tensor]) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Return each candidate's Frechet distance from the true set, or None and a note if there are too few clips."""
    count, dims = embeddings[""].shape
    if count < 2 * dims:
        note = f"fad_logmel is left out: it compares sets of at least {2 * dims} clips"
        return dict.fromkeys(embeddings, None), (note,)
    return {name: frechet_distance(own, embeddings[""]) for name, own in embeddings.items()}, ()
