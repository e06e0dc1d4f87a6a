"""The tables that people read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from src.data.spec import DatasetSpec
from src.synth.parameters import ParameterSpace

if TYPE_CHECKING:  # they import Lightning, which generation has no use for
    from src.evaluation.evaluate import Evaluation
    from src.evaluation.predict import Prediction

_SHOWN = 20  # predictions of a folder or dataset that are printed; the files hold all


def _print(table: Table) -> None:
    for column in table.columns:
        column.no_wrap = True
    console = Console()
    Console(width=None if console.is_terminal else 10_000).print(table)  # a pipe or file has no width to fit into


def print_sensitivity(spec: DatasetSpec, directory: Path, seconds: float | None = None) -> None:
    """Print a new dataset's parameters and how strongly each changes the image; without `seconds` it is not written."""
    total = sum(spec.counts.values())
    table = Table("parameter", "range", "unit", "classes", "one step", "whole range", "", title=str(directory))
    rows = {row["name"]: row for row in spec.sensitivity}
    for one in spec.space:
        row = rows[one.name]
        table.add_row(
            one.name,
            f"{one.min:g}..{one.max:g} by {one.step:g}",
            one.unit,
            str(one.num_classes),
            f"{row['step_levels']:.2f}",
            f"{row['range_levels']:.2f}",
            "BLIND" if row["blind"] else "",
        )
    table.caption = (
        "one step, whole range: median change of the image, in levels of 255, when that parameter alone moves\n"
        f"{total} samples ({', '.join(f'{count} {split}' for split, count in spec.counts.items())})"
        + (" are not written" if seconds is None else f" in {seconds:.1f} s")
    )
    _print(table)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print a test's figures: each error beside its floor and its baseline."""
    table = Table(title=f"{evaluation.dataset}: test split, {evaluation.num_samples} sounds")
    for column in ("parameter", "unit", "MAE", "floor", "predict the mean", "share", "accuracy", "within a step"):
        table.add_column(column, justify="left" if column in ("parameter", "unit") else "right")
    for row in evaluation.rows:
        table.add_row(
            row.name,
            row.unit,
            f"{row.mae:.4g}",
            f"{row.floor:.2g}",
            f"{row.baseline:.4g}",
            f"{100 * row.share:.1f} %",
            f"{100 * row.accuracy:.1f} %",
            f"{100 * row.within_one_step:.1f} %",
        )
    if evaluation.image_error is not None:
        error = evaluation.image_error
        table.add_section()
        table.add_row(
            "image, re-rendered", "dB", f"{error.predicted:.3g}", f"{error.floor:.2g}", f"{error.baseline:.3g}",
            f"{100 * error.predicted / error.baseline:.1f} %", "", "",
        )  # fmt: skip
    table.caption = (
        "floor: the true values, rounded to the byte that a record holds; share: MAE / MAE of predicting the mean"
    )
    _print(table)


def print_predictions(predictions: list[Prediction], space: ParameterSpace) -> None:
    """Print one sound's parameters down the page, several sounds' across it."""
    if len(predictions) == 1:
        one = predictions[0]
        table = Table("parameter", "value", "+-", "unit", title=one.name)
        for spec, value, doubt in zip(space, one.values, one.uncertainties, strict=True):
            table.add_row(spec.name, f"{value:.4g}", f"{doubt:.2g}", spec.unit)
    else:
        headings = [f"{spec.name}\n{spec.unit}" for spec in space]
        table = Table("sound", *headings)
        for one in predictions[:_SHOWN]:
            table.add_row(one.name, *(f"{value:.4g}" for value in one.values))
        if len(predictions) > _SHOWN:
            table.caption = f"the first {_SHOWN} of {len(predictions)}"
    _print(table)
