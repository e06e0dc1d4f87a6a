"""What refining achieves on a test split: errors before and after, parameter by parameter."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from src.data.datamodule import BatchDataModule
from src.evaluation.intervals import Interval, interval, resampled_means, rounded, written_interval
from src.evaluation.predict import estimate_dataset
from src.evaluation.refinement.answers import Refiner, refine_dataset
from src.evaluation.refinement.problem import GOOD_LEVELS
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.files import write_atomic
from src.utils.table import Column, markdown, show

FILE = "refinement_results"
_CAPTION = "better: share of the sounds whose error became smaller; image limit: the least MAE that the images allow"


@dataclass(frozen=True)
class RefinedRow:
    """The errors of a parameter in its unit, by the network and after refinement."""

    name: str
    unit: str
    network_mae: float
    mae: float
    median: float
    better: float
    image_limit: float | None
    intervals: dict[str, Interval | None]


@dataclass(frozen=True)
class RefinedResults:
    """The results of a test split; RMS differences of images are medians, in levels."""

    dataset: str
    num_samples: int
    rows: tuple[RefinedRow, ...]
    rms_before: float
    rms_after: float
    share_good: float  # of the sounds whose image differs by less than half a level
    mean_iterations: float
    rounded_labels: bool  # the labels are bytes, so that errors include those of rounding


def refine_test(
    model: VIMHLitModule, datamodule: BatchDataModule, refiner: Refiner
) -> tuple[RefinedResults, dict[str, np.ndarray]]:
    """Predict the test split, refine the predictions on its images, and compare both with the labels.

    Return the results, and the predicted and the refined values (n, P) in physical units.
    """
    spec, test = datamodule.spec, datamodule.dataset("test")
    truth = spec.space.denormalize(test.targets())
    network = estimate_dataset(model, test)
    estimates, refined = refine_dataset(refiner, test, network)
    limits = {row.name: row.limit_mae for row in spec.origin.sensitivity}
    rows = []
    for at in np.flatnonzero(refiner.steps):
        parameter = spec.space.varying[at]
        before, after = (np.abs(found.values[:, at] - truth[:, at]) for found in (network, estimates))
        means = resampled_means(np.column_stack([before, after]))
        intervals = {"network_mae": interval(means[:, 0], len(test)), "mae": interval(means[:, 1], len(test))}
        rows.append(
            RefinedRow(
                parameter.name,
                parameter.unit,
                network_mae=float(before.mean()),
                mae=float(after.mean()),
                median=float(np.median(after)),
                better=float((after < before).mean()),
                image_limit=limits.get(parameter.name),
                intervals=intervals,
            )
        )
    results = RefinedResults(
        spec.name,
        len(test),
        tuple(rows),
        rms_before=float(np.median(refined.rms_before)),
        rms_after=float(np.median(refined.rms_after)),
        share_good=float((refined.rms_after < GOOD_LEVELS).mean()),
        mean_iterations=float(refined.iterations.mean()),
        rounded_labels=test.quantised,
    )
    return results, {"predicted": network.values, "refined": estimates.values}


def write_refined(results: RefinedResults, directory: Path) -> None:
    """Write refinement_results.json and refinement_results.md."""
    write_atomic(directory / f"{FILE}.json", (json.dumps(asdict(results), indent=2) + "\n").encode())
    text = "\n\n".join([f"# {_title(results)}", markdown(*_table(results)), *_caption(results)])
    write_atomic(directory / f"{FILE}.md", (text + "\n").encode())


def print_refined(results: RefinedResults) -> None:
    """Print the errors before and after refinement."""
    show(*_table(results), _title(results), "\n".join(_caption(results)), f"{FILE}.md")


def _title(results: RefinedResults) -> str:
    return f"{results.dataset}: refined, test split, {results.num_samples:,} sounds"


def _caption(results: RefinedResults) -> list[str]:
    levels = f"{results.rms_after:.2g} levels instead of {results.rms_before:.2g}"
    steps = f"{results.mean_iterations:.1f} steps on average"
    good = f"below half a level: {100 * results.share_good:.1f} %"
    notes = [f"images differ by {levels} (median RMS), {good}; {steps}", _CAPTION]
    if results.rounded_labels:
        notes.append("the labels are rounded to bytes, so that errors include that of rounding")
    return notes


def _table(results: RefinedResults) -> tuple[list[Column], list[list[str]]]:
    columns = [Column("parameter", text=True), Column("unit", text=True, drop=1), Column("network MAE")]
    columns += [Column("refined MAE"), Column("95 % interval", drop=2), Column("median", drop=3)]
    columns += [Column("better"), Column("image limit")]
    cells = []
    for row in results.rows:
        own = row.intervals["mae"]
        cells.append(
            [
                row.name,
                row.unit,
                rounded(row.network_mae, row.intervals["network_mae"]),
                rounded(row.mae, own),
                written_interval(row.mae, own),
                rounded(row.median, None),
                f"{100 * row.better:.1f} %",
                "" if row.image_limit is None else rounded(row.image_limit, None),
            ]
        )
    return columns, cells
