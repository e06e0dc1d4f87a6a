"""Write a report: one page that shows a test's results, and the same results as Markdown, JSON, CSV and LaTeX."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.data.datamodule import BatchDataModule
from src.data.dataset import BatchDataset
from src.evaluation.architecture_boxes import BOXES_CAPTION
from src.evaluation.predictions_file import FILE, SplitPredictions, read_predictions_file
from src.evaluation.reports import twins
from src.evaluation.reports.body import (
    curves_section,
    facts_section,
    neighbours_note,
    network_section,
    result_sections,
)
from src.evaluation.reports.checks import run_checks
from src.evaluation.reports.contents import page_data, pictures_and_sounds
from src.evaluation.reports.curves import read_curves
from src.evaluation.reports.facts import layer_table, metrics_table, network_drawing, run_table
from src.evaluation.reports.heads import CAPTION, head_figures
from src.evaluation.reports.neighbours import nearest_errors
from src.evaluation.reports.page import make_page
from src.evaluation.reports.parts import body
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError, first_line
from src.utils.files import path_text, require_content, write_atomic

log = logging.getLogger(__name__)

PAGE_FILE = "report.html"
_STYLES = ("base.css", "report.css")
_SCRIPTS = (
    *("base", "axes", "maps", "selection", "predictions", "plot", "figures", "cells", "heads"),
    *("pictures", "finder", "player", "spectrogram", "sample", "explanation", "report"),
)


def write_report(
    results: Path,
    output: Path,
    run: Path | None = None,
    session: Mapping[str, Any] | None = None,
    model: VIMHLitModule | None = None,
    datamodule: BatchDataModule | None = None,
    refine: int = 5,
) -> Path:
    """Write report.html, .md, .json, .csv and .tex to `output`; return the page's path.

    `results` is the directory of test_results.json and predictions.npz, `run` that of the training run, and
    `session` the last one in its record. Without a model the page has no refined samples and no table of
    layers, without a datamodule no images of the dataset. `refine` is the number of steps of a refinement, 0 for none.
    """
    tested = read_results(results / "test_results.json")
    samples = tested["samples"]
    predictions = read_predictions_file(results / FILE) if (results / FILE).is_file() else None
    count = tested["num_samples"] if predictions is None else len(predictions.value)
    title = f"{tested['dataset']}: test split, {count:,} {samples}"
    intro = [f"{count:,} {samples} that were used neither for training nor for choosing the checkpoint."]
    data: dict[str, Any] = {
        "count": count,
        "samples": samples,
        "sample": samples.removesuffix("s"),
        "predictions": None,
    }
    data["curves"] = None if run is None else read_curves(run, session or {})
    sections: list[str] = []
    if predictions is None:
        sections.append(facts_section("Results", *metrics_table(tested)))
    else:
        sections += _results(predictions, tested, title, output, data, model, datamodule, refine)
    if data["curves"]:
        sections.append(curves_section())
    if model is not None:
        sections.append(network_section(network_drawing(model), BOXES_CAPTION, *layer_table(model)))
    sections.append(facts_section("Run", *run_table(session or {}, {} if predictions is None else predictions.about)))
    page = make_page(title, body(title, intro, sections), data, _STYLES, [f"{name}.js" for name in _SCRIPTS])
    write_atomic(output / PAGE_FILE, page.encode())
    return output / PAGE_FILE


def read_results(path: Path) -> dict[str, Any]:
    """Read test_results.json; raise UserError, one line, for a file that is missing or damaged."""
    require_content(path, "give the directory of a test_results.json, which src/train.py and src/eval.py write")
    try:
        found = json.loads(path.read_text())
        if not isinstance(found["num_samples"], int) or not isinstance(found["metrics"], dict):
            raise TypeError("it holds no results of a test")
        return found | {key: str(found[key]) for key in ("dataset", "samples")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path_text(path)}: {first_line(error)}; run src/eval.py again") from error


def _results(
    predictions: SplitPredictions,
    tested: dict[str, Any],
    title: str,
    output: Path,
    data: dict[str, Any],
    model: VIMHLitModule | None,
    datamodule: BatchDataModule | None,
    refine: int,
) -> list[str]:
    """Write the twins, add what the page's scripts read to `data`, and return the sections about predictions."""
    samples = data["samples"]
    test = _same_samples(predictions, datamodule)
    datamodule = None if test is None else datamodule
    spec = datamodule.spec if datamodule is not None else model.spec if model is not None else None
    neighbours = None
    if datamodule is not None:
        splits = datamodule.dataset("test"), datamodule.dataset("train")
        neighbours = nearest_errors(predictions.space, *splits)
    rows = head_figures(predictions, None if neighbours is None else neighbours[0])
    checks = run_checks(predictions, rows, spec, datamodule)
    notes = _notes(tested)
    if neighbours is not None:
        notes.append(neighbours_note(*neighbours[1:], samples))
    data |= page_data(predictions)
    data |= pictures_and_sounds(predictions, spec, test, model, datamodule, refine)
    notes.append(data["missing"])
    figures = {key: data[key] for key in ("parameters", "correlations", "curves")} | {"panels": data["heads"]}
    files = {
        "json": twins.to_json(title, rows, checks, figures),
        "md": twins.to_markdown(title, rows, checks, CAPTION),
        "csv": twins.to_csv(rows),
        "tex": twins.to_latex(title, rows, CAPTION),
    }
    for kind, content in files.items():
        write_atomic(output / f"report.{kind}", content.encode())
    return result_sections(checks, rows, data["count"], samples, [note for note in notes if note])


def _same_samples(predictions: SplitPredictions, datamodule: BatchDataModule | None) -> BatchDataset | None:
    """Return the test split of the predictions; None, and a warning, if the datamodule's is another."""
    if datamodule is None:
        return None
    test = datamodule.dataset("test")
    if len(test) == len(predictions.value) and predictions.test_sha256 == datamodule.spec.sha256.get("test"):
        return test
    log.warning(
        "%s: its test split is not that of the predictions, so the report shows no images", datamodule.spec.name
    )
    return None


def _notes(tested: dict[str, Any]) -> list[str]:
    """Return sentences about the results that belong to no single parameter."""
    error = tested.get("image_error")
    if not error:
        return []
    return [
        f"Images rendered again from the predictions differ by {error['mae']:.2g} dB from the true images (mean "
        f"absolute difference), with the mean baseline by {error['baseline']:.2g} dB."
    ]
