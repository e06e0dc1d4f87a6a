"""Result tables for users: as many columns as fit the screen; files hold all columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.data.images.label_strategies import SYNTHETIC
from src.data.paths import Location
from src.data.spec import DatasetSpec
from src.data.spec_schema import Sensitivity
from src.evaluation.confusion import category_name
from src.evaluation.energies import FILE as ENERGIES_FILE
from src.evaluation.energies import Energies, energies_csv
from src.evaluation.ensemble_intervals import INTERVAL_NOTE, width_table
from src.evaluation.intervals import rounded, significant, written_estimate, written_interval
from src.evaluation.map_tables import MAPS_FILE, map_note, map_table, write_map_figure
from src.evaluation.predictions_file import write_predictions_file
from src.evaluation.uncertainty_tables import (
    CLASS_NOTE,
    CONFUSION_FILE,
    RELIABILITY_NOTE,
    class_table,
    confusion_csv,
    reliability_table,
)
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.files import write_atomic
from src.utils.table import Column, escape_markdown, fits, markdown, show

if TYPE_CHECKING:  # they import Lightning, which generation does not need
    from src.evaluation.evaluate import CategoryRow, Evaluation, HeadRow, ImageError
    from src.evaluation.predict import Prediction, Refinement

_BASELINE_NOTE = "mean baseline: MAE of always predicting the training split's mean; relative MAE: MAE / mean baseline"
_LIMIT_NOTE = "image limit: the least MAE that the images allow, estimated when the dataset was made"
_CATEGORY_NOTE = "baseline accuracy: accuracy of always predicting the training split's most frequent category"

_ALL_IN = "test_results.md"
_SHOWN = 20  # predictions of a folder or dataset that are printed; the files hold all
_MISTAKES = 10  # mistakes that are printed if a parameter's confusion table does not fit
_RMS = "RMS [levels]"  # of the difference between two images
_LARGEST = 20  # categories of a confusion table that is written completely

_RESULTS = (  # heading, field, and `drop` of its column and of its interval's column
    ("MAE", "mae", 0, 2),
    ("image limit", "image_limit", 1, 0),
    ("label rounding error", "label_rounding", 4, 0),
    ("mean baseline", "baseline", 6, 8),
    ("relative MAE", "relative_mae", 0, 9),
    ("accuracy", "accuracy", 3, 10),
    ("+-1-step accuracy", "within_one_step", 5, 11),
)
_OPTIONAL = ("image_limit", "label_rounding")  # columns that are left out if no row has a figure
_PERCENT = ("relative_mae", "accuracy", "within_one_step", "baseline_accuracy")


def print_sensitivity(spec: DatasetSpec, directory: Location, seconds: float | None = None) -> None:
    """Print a dataset's parameters and how strongly each changes the image; `seconds` is None if it is not written."""
    effects = {row.name: row for row in spec.origin.sensitivity}
    columns = [
        Column("parameter", text=True), Column("range"), Column("unit", text=True), Column("classes", drop=1),
        Column("one step"), Column("whole range"),
    ]  # fmt: skip
    rows = []
    for parameter in spec.space:
        effect = effects[parameter.name]
        levels = [f"{effect.step_levels:.2f}", f"{effect.range_levels:.2f}"]
        rows.append([parameter.name, _range(parameter), parameter.unit, str(parameter.num_classes), *levels])
    caption = "one step, whole range: median change of the image, in levels of 255, when only that parameter changes\n"
    if any(effect.limit_mae is not None for effect in effects.values()):
        columns.append(Column("image limit", drop=2))
        for parameter, row in zip(spec.space, rows, strict=True):
            row.append(_limit(effects[parameter.name]))
        caption += "image limit: the least mean absolute error that the images allow, in the parameter's unit\n"
    if any(row.blind for row in effects.values()):
        columns.append(Column("", text=True))
        for parameter, row in zip(spec.space, rows, strict=True):
            row.append("no measurable effect" if effects[parameter.name].blind else "")
    splits = ", ".join(f"{count:,} {split}" for split, count in spec.counts.items())
    caption += f"{sum(spec.counts.values()):,} clips ({splits}) "
    caption += "were not written" if seconds is None else f"in {seconds:.1f} s"
    show(columns, rows, str(directory), caption, all_in="vimh_dataset_info.json")


def _limit(effect: Sensitivity) -> str:
    return "" if effect.limit_mae is None else rounded(effect.limit_mae, None)


def _range(spec: ParameterSpec) -> str:
    if spec.kind == "categorical":
        return f"{spec.num_classes} categories"
    return spec.describe_range(with_unit=False)


def evaluation_title(evaluation: Evaluation) -> str:
    """Return the title of a test's results."""
    return f"{evaluation.dataset}: test split, {evaluation.num_samples:,} {evaluation.samples}"


def baseline_note(evaluation: Evaluation) -> str:
    """Return what the columns of `evaluation_table` mean."""
    has_limits = any(row.image_limit is not None for row in evaluation.rows)
    return f"{_BASELINE_NOTE}; {_LIMIT_NOTE}" if has_limits else _BASELINE_NOTE


def category_note(evaluation: Evaluation) -> str:
    """Return what the columns of `category_table` mean, and which labels are synthetic."""
    space = evaluation.predictions.space if evaluation.predictions else ()
    names = [spec.name for spec in space if spec.description.startswith(SYNTHETIC)]
    synthetic = f"; synthetic labels, computed from the class: {', '.join(names)}" if names else ""
    return _CATEGORY_NOTE + synthetic


def evaluation_table(evaluation: Evaluation) -> tuple[list[Column], list[list[str]], set[int]]:
    """Return the table of errors of all parameters and of re-rendered images, and the row that a line precedes."""
    names = [row.name for row in evaluation.rows]
    rows: list[tuple[str, str, HeadRow | ImageError]] = [(row.name, row.unit, row) for row in evaluation.rows]
    if evaluation.image_error is not None:
        rows.append(("image, re-rendered", "dB", evaluation.image_error))
    if evaluation.reconstruction_error is not None:
        rows.append(("image, reconstructed", "level", evaluation.reconstruction_error))
    columns, cells = [Column("parameter", text=True), Column("unit", text=True)], [list(row[:2]) for row in rows]
    for heading, field, drop, drop_interval in _RESULTS:
        if field in _OPTIONAL and all(getattr(row, field, None) is None for *_, row in rows):
            continue
        columns.append(Column(heading, drop=drop))
        if drop_interval:
            columns.append(Column("95 % interval", drop=drop_interval))
        for line, (*_, row) in zip(cells, rows, strict=True):
            line += _result(row, field)[: 2 if drop_interval else 1]
    return columns, cells, {len(names)}


def metrics_table(evaluation: Evaluation) -> tuple[list[Column], list[list[str]]]:
    """Return what the trainer logged in a test, for a task without a table of its own."""
    rows = [[name, f"{value:.4g}"] for name, value in evaluation.metrics.items()]
    return [Column("metric", text=True), Column("value")], rows


def category_table(evaluation: Evaluation) -> tuple[list[Column], list[list[str]]]:
    """Return the accuracies of all categorical parameters."""
    columns = [
        Column("parameter", text=True),
        Column("categories", drop=3),
        Column("accuracy"),
        Column("95 % interval"),
    ]
    columns += [Column("baseline accuracy", drop=1), Column("95 % interval", drop=2)]
    cells = []
    for row in evaluation.categories:
        accuracies = (*_result(row, "accuracy"), *_result(row, "baseline_accuracy"))
        cells.append([row.name, str(len(row.confusion.categories)), *accuracies])
    return columns, cells


def confusion_table(row: CategoryRow, whole: bool, samples: str) -> tuple[list[Column], list[list[str]], str]:
    """Return the confusion table of a parameter, or only its mistakes, and a title; `samples` says what is counted."""
    confusion = row.confusion
    if whole:
        columns = [Column("true", text=True), *(Column(name) for name in confusion.categories)]
        counts = confusion.matrix().tolist()
        cells = [[name, *map(str, line)] for name, line in zip(confusion.categories, counts, strict=True)]
        return columns, cells, f"{row.name}: {samples} of each true category (rows) by predicted category (columns)"
    columns = [Column("true", text=True), Column("predicted", text=True), Column("mistakes"), Column(samples, drop=1)]
    cells = [[true, predicted, f"{count}", f"{total}"] for true, predicted, count, total in confusion.mistakes()]
    return columns, cells, f"{row.name}: the most frequent mistakes"


def _result(row: HeadRow | ImageError | CategoryRow, name: str) -> list[str]:
    """Return a result and its interval with meaningful digits; empty texts if the row does not have that result."""
    if not hasattr(row, name):
        return ["", ""]
    value, interval = getattr(row, name), row.intervals.get(name)
    if name not in _PERCENT or value is None:
        return [rounded(value, interval), written_interval(value, interval)]
    value, interval = 100 * value, interval and (100 * interval[0], 100 * interval[1])
    least = None if name == "relative_mae" else 0  # an accuracy of 4 % may be a few sounds: no second digit
    return [f"{rounded(value, interval, least)} %", f"{written_interval(value, interval, least)} %"]


def write_evaluation(
    evaluation: Evaluation, directory: Path, checkpoint: Path | None = None, unlike: Energies | None = None
) -> None:
    """Write test_results.json with all results, test_results.md with the complete tables, and predictions.npz.

    If there are categories, confusion.csv holds all their confusion tables; if heads have logits, energies.csv holds
    the histograms of their energies. Of maps, maps.png shows some.

    `checkpoint` is the file of the weights that were tested, `unlike` are the energies of other samples.
    """
    if evaluation.predictions is not None:
        write_predictions_file(evaluation.predictions, directory, checkpoint)
        if evaluation.predictions.energies:
            write_atomic(directory / ENERGIES_FILE, energies_csv(evaluation.predictions.energies, unlike))
    write_atomic(directory / "test_results.json", evaluation.to_json())
    parts = [f"# {escape_markdown(evaluation_title(evaluation))}"]
    columns, rows, _ = evaluation_table(evaluation)
    if rows:
        parts += [markdown(columns, rows), f"{baseline_note(evaluation)}."]
    elif evaluation.maps is not None:
        columns, rows, _ = map_table(evaluation.maps)
        parts += [markdown(columns, rows), f"{map_note(evaluation.maps)}."]
        if evaluation.maps.drawn is not None:
            write_map_figure(evaluation.maps.drawn, directory / MAPS_FILE)
    elif not evaluation.categories:
        parts.append(markdown(*metrics_table(evaluation)))
    if evaluation.categories:
        parts += [markdown(*category_table(evaluation)), f"{category_note(evaluation)}."]
        columns, rows = class_table(evaluation)
        if rows:
            parts += [markdown(columns, rows), f"{CLASS_NOTE}."]
        write_atomic(directory / CONFUSION_FILE, confusion_csv(evaluation))
    if evaluation.reliability:
        parts += [markdown(*reliability_table(evaluation)), f"{RELIABILITY_NOTE}."]
    if evaluation.ensemble:
        parts += [markdown(*width_table(evaluation.ensemble)), f"{INTERVAL_NOTE}."]
    for row in evaluation.categories:
        columns, rows, title = confusion_table(row, len(row.confusion.categories) <= _LARGEST, evaluation.samples)
        parts += [f"## {escape_markdown(title)}", markdown(columns, rows)]
    write_atomic(directory / _ALL_IN, ("\n\n".join(parts) + "\n").encode())


def print_evaluation(evaluation: Evaluation) -> None:
    """Print a test's results: errors with intervals and baselines, and which categories are confused."""
    title = evaluation_title(evaluation)
    columns, rows, sections = evaluation_table(evaluation)
    if rows:
        show(columns, rows, title, baseline_note(evaluation), _ALL_IN, sections)
    elif evaluation.maps is not None:
        columns, rows, sections = map_table(evaluation.maps)
        show(columns, rows, title, map_note(evaluation.maps), _ALL_IN, sections)
    elif not evaluation.categories:
        show(*metrics_table(evaluation), title)
    if evaluation.categories:
        show(*category_table(evaluation), "" if rows else title, category_note(evaluation), _ALL_IN)
    for row in evaluation.categories:
        columns, rows, title = confusion_table(row, len(row.confusion.categories) <= _LARGEST, evaluation.samples)
        if not fits(columns, rows):
            columns, rows, title = confusion_table(row, False, evaluation.samples)
        if rows:
            show(columns, rows if len(columns) > 4 else rows[:_MISTAKES], title, all_in=_ALL_IN)


def print_predictions(
    predictions: list[Prediction], space: ParameterSpace, calibrated_on: int, typical: Sequence[str] = ()
) -> None:
    """Print one sound with a row per parameter, or several with a row per sound or, if only that fits, transposed.

    `calibrated_on` is the number of validation sounds that the uncertainties are fitted to, 0 if uncalibrated;
    `typical` names the parameters whose `+-` is the same for every sound. Below are each sound's warnings.
    """
    notes = _notes(predictions, space, calibrated_on, typical)
    shown = predictions[:_SHOWN]
    notes += _warnings({sound.name: sound for sound in shown}, len(predictions) == 1)
    if len(predictions) > len(shown):
        notes.append(f"the first {_SHOWN} of {len(predictions)} sounds; predictions.csv has all")
    caption = "\n".join(notes)
    if len(shown) == 1:
        _print_sound(shown[0], space, caption)
        return
    cells = [_cells(sound, space) for sound in shown]
    headings = [_heading(spec) for spec in space]
    if any(sound.refinement for sound in shown):
        headings.append(_RMS)
        cells = [[*line, _rms_text(sound)] for sound, line in zip(shown, cells, strict=True)]
    columns = [Column("sound", text=True), *map(Column, headings)]
    rows = [[sound.name, *line] for sound, line in zip(shown, cells, strict=True)]
    down = [Column("parameter", text=True), *(Column(sound.name) for sound in shown)]
    turned = [[heading, *(line[at] for line in cells)] for at, heading in enumerate(headings)]
    if not fits(columns, rows) and fits(down, turned):
        columns, rows = down, turned
    show(columns, rows, caption=caption)


def print_segments(
    name: str, segments: list[Prediction], space: ParameterSpace, calibrated_on: int, typical: Sequence[str] = ()
) -> None:
    """Print the segments of one recording, a row each; of many only the first, and where the others are."""
    shown = segments[:_SHOWN]
    columns = [Column("start [s]"), Column("end [s]", drop=1), *(Column(_heading(spec)) for spec in space)]
    rows = []
    for segment in shown:
        start, end = segment.times or (math.nan, math.nan)
        rows.append([f"{start:.3f}", f"{end:.3f}", *_cells(segment, space)])
    if any(segment.refinement for segment in shown):
        columns.append(Column(_RMS))
        for row, segment in zip(rows, shown, strict=True):
            row.append(_rms_text(segment))
    notes = _notes(segments, space, calibrated_on, typical)
    notes += _warnings({f"{row[0]} s": segment for row, segment in zip(rows, shown, strict=True)}, False)
    if len(segments) > len(shown):
        notes.append(f"the first {_SHOWN} of {len(segments):,} segments; predictions.csv has all")
    show(columns, rows, name, "\n".join(notes), "predictions.csv")


def _warnings(sounds: Mapping[str, Prediction], is_single: bool) -> list[str]:
    """Return a line for each sound that has warnings, without their details, which the table shows."""
    lines = []
    for name, sound in sounds.items():
        if sound.warnings:
            reasons = "; ".join(warning.split(":")[0] for warning in sound.warnings)
            lines.append(f"warning: {reasons}" if is_single else f"{name}: {reasons}")
    return lines


def _notes(
    sounds: list[Prediction], space: ParameterSpace, calibrated_on: int, typical: Sequence[str] = ()
) -> list[str]:
    """Return what a reader of uncertainties should know."""
    intervals = "[low, high]: 90 % interval"
    if any(sound.refinement for sound in sounds):
        notes = [intervals, "+-: standard uncertainty of the fit to the image; none if no parameters fit the sound"]
        if any(spec.kind != "continuous" for spec in space):
            notes.append("what is not continuous keeps the network's answer and its +-")
        if len(sounds) > 1:
            notes.append(f"{_RMS}: difference between the images, network -> refined")
        return notes
    fitted = f"fitted to the errors on {calibrated_on:,} validation sounds"
    notes = [f"{intervals}, {fitted if calibrated_on else 'rough, since it is not calibrated'}"]
    if len(sounds) == 1:
        notes.append("+-: standard uncertainty: 68 % of the errors are smaller")
    if typical:
        of = "" if set(typical) == set(space.names) else f" of {', '.join(typical)}"
        notes.append(f"+-{of} and the interval's width are a typical error, not this sound's")
    if any(spec.kind == "categorical" for spec in space):
        notes.append("+- of a category: the probability that it is wrong")
    return notes


def _rms_text(sound: Prediction) -> str:
    """Return by how many levels the image differs, before and after the refinement."""
    how = sound.refinement
    return "" if how is None else f"{significant(how.rms_before, 2)} -> {significant(how.rms_after, 2)}"


def _refinement_notes(how: Refinement) -> list[str]:
    """Return what a refinement did to one sound."""
    levels = f"{significant(how.rms_after, 2)} levels instead of {significant(how.rms_before, 2)}"
    steps = f"{how.iterations} step{'' if how.iterations == 1 else 's'}"
    notes = [f"refined in {steps}: the images differ by {levels} (RMS; 255 levels in all)"]
    notes += [f"hardly told apart in this sound: {one} and {other}" for one, other in how.alike]
    if how.ambiguous:
        notes.append("another answer fits as well: a search from another start ended elsewhere")
    return notes


def _cells(sound: Prediction, space: ParameterSpace) -> list[str]:
    """Return a sound's value of each parameter with its 90 % interval, or of a category with its `+-`."""
    cells = []
    for at, spec in enumerate(space):
        value, interval = _estimate(spec, sound.values[at], sound.low_90[at], sound.high_90[at])
        uncertainty = _uncertainty(spec, sound.uncertainties[at])
        if spec.kind == "categorical" and uncertainty:
            interval = f"+- {uncertainty}"
        cells.append(f"{value} {interval}".rstrip())
    return cells


def _print_sound(sound: Prediction, space: ParameterSpace, caption: str) -> None:
    columns = [Column("parameter", text=True), Column("value"), Column("90 % interval"), Column("+-", drop=1)]
    columns.append(Column("unit", text=True))
    rows = []
    for at, spec in enumerate(space):
        value, interval = _estimate(spec, sound.values[at], sound.low_90[at], sound.high_90[at])
        rows.append([spec.name, value, interval, _uncertainty(spec, sound.uncertainties[at]), spec.unit])
    if sound.refinement is not None:
        columns.insert(4, Column("network", drop=2))
        for spec, row in zip(space, rows, strict=True):
            row.insert(4, _estimate(spec, sound.refinement.network[spec.name], math.nan, math.nan)[0])
        caption = "\n".join([*_refinement_notes(sound.refinement), caption])
    show(columns, rows, sound.name, caption, "predictions.csv")


def _heading(spec: ParameterSpec) -> str:
    return f"{spec.name} [{spec.unit}]" if spec.unit else spec.name


def _estimate(spec: ParameterSpec, value: float, low: float, high: float) -> tuple[str, str]:
    """Return a predicted value and its interval, which is empty for a category."""
    if spec.kind == "categorical":
        return category_name(spec, value), ""
    return written_estimate(value, low, high, spec.scale == "log")


def _uncertainty(spec: ParameterSpec, uncertainty: float) -> str:
    """Return an uncertainty, empty if it is unknown; of a category it is a probability."""
    if not math.isfinite(uncertainty):
        return ""
    return f"{100 * uncertainty:.2g} %" if spec.kind == "categorical" else significant(uncertainty, 2)
