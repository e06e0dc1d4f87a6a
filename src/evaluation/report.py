"""A report with plots and sounds in one self-contained HTML file."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from src.data.datamodule import BatchDataModule
from src.data.spec import DatasetSpec
from src.evaluation.confusion import category_name
from src.evaluation.evaluate import Evaluation, predict_values
from src.evaluation.plots import scatter_figure
from src.evaluation.rerender import rendering_source
from src.evaluation.tables import (
    CATEGORY_NOTE,
    baseline_note,
    category_table,
    confusion_table,
    evaluation_table,
    evaluation_title,
    metrics_table,
)
from src.models.tasks.parameters import predicts_parameters
from src.models.vimh_lit_module import VIMHLitModule
from src.parameters.spec import ParameterSpec
from src.utils.files import write_atomic
from src.utils.table import Column, plain

_PLOTTED = 1000
_HEARD = 2**21  # samples of each of them: 43 s at 48 kHz, 6 MB of text
_LISTENED = 6  # sounds: enough to judge by ear, few enough to listen to
_LARGEST = 40  # categories of a confusion table that is shown completely

_PAGE = """<!doctype html>
<meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }}
th, td {{ padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right }}
th:first-child, td:first-child {{ text-align: left }}
img {{ max-width: 100% }}
</style>
<h1>{title}</h1>
<p>{count} {samples} that were used neither for training nor for choosing the checkpoint.
A 95 % interval shows how far a result may be off because the number of test {samples} is limited.</p>
{results}
{predictions}
"""
_SCATTER = """<h2>Predicted against true</h2>
<img alt="scatter plots" src="data:image/png;base64,{}">"""


def write_report(evaluation: Evaluation, model: VIMHLitModule, datamodule: BatchDataModule, output_dir: Path) -> Path:
    """Write report.html to `output_dir`; return its path."""
    page = _PAGE.format(
        title=_text(evaluation_title(evaluation)),
        count=f"{evaluation.num_samples:,}",
        samples=evaluation.samples,
        results=_results(evaluation),
        predictions=_predictions(model, datamodule) if predicts_parameters(model) else "",
    )
    path = output_dir / "report.html"
    write_atomic(path, page.encode())
    return path


def _predictions(model: VIMHLitModule, datamodule: BatchDataModule) -> str:
    """Return a scatter plot of each parameter, the parameters' effects, and sounds."""
    test, space = datamodule.dataset("test"), model.spec.space
    predicted = predict_values(model, test, _PLOTTED)
    truth = space.denormalize(test.targets()[: len(predicted)])
    picture = io.BytesIO()
    scatter_figure(space, truth, predicted).savefig(picture, format="png", dpi=110)
    scatter = _SCATTER.format(base64.b64encode(picture.getvalue()).decode())
    sounds = _sounds(model.spec, truth[:_LISTENED], predicted[:_LISTENED], datamodule.trust)
    return "\n".join([scatter, _effects(model.spec), sounds])


def _text(text: object) -> str:
    """Return text for the page, escaped so that no name of a file, unit or parameter is read as HTML."""
    return html.escape(plain(text))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; its cells are already HTML."""
    head = "".join(f"<th>{_text(cell)}" for cell in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}" for cell in row) for row in rows)
    return f"<table><tr>{head}{body}</table>"


def _plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return _table(headings, [[_text(cell) for cell in row] for row in rows])


def _columns_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    return _plain_table([column.heading for column in columns], rows)


def _results(evaluation: Evaluation) -> str:
    parts = []
    columns, rows, _ = evaluation_table(evaluation)
    if rows:
        parts += [_columns_table(columns, rows), f"<p>{_text(baseline_note(evaluation))}.</p>"]
    elif not evaluation.categories:
        parts.append(_columns_table(*metrics_table(evaluation)))
    if evaluation.categories:
        columns, rows = category_table(evaluation)
        parts += [_columns_table(columns, rows), f"<p>{_text(CATEGORY_NOTE)}.</p>"]
    for row in evaluation.categories:
        columns, rows, title = confusion_table(row, len(row.confusion.categories) <= _LARGEST, evaluation.samples)
        parts += [f"<h2>{_text(title)}</h2>", _columns_table(columns, rows)]
    return "\n".join(parts)


def _effects(spec: DatasetSpec) -> str:
    """Return how strongly each parameter changes the image, if the dataset's description says so."""
    if not spec.origin.sensitivity:
        return ""
    rows = []
    for row in spec.origin.sensitivity:
        levels = [f"{row.step_levels:.2f}", f"{row.range_levels:.2f}"]
        rows.append([row.name, *levels, "no measurable effect" if row.blind else ""])
    table = _plain_table(["parameter", "one step", "whole range", ""], rows)
    note = "Median change of the image, in levels of 255, when only that parameter changes."
    return f"<h2>Effect of each parameter on the image</h2>{table}<p>{note}</p>"


def _sounds(spec: DatasetSpec, truth: np.ndarray, predicted: np.ndarray, trust: Sequence[str]) -> str:
    source = rendering_source(spec, trust)
    if source is None:
        return "<p>No sounds: the synth in the dataset's description is missing or cannot render here; see the log.</p>"
    rate = source.synth.config.sample_rate
    rows = []
    for at in range(len(truth)):
        pairs = zip(spec.space, truth[at], predicted[at], strict=True)
        values = [
            f"{parameter.name} {_value(parameter, true)} / {_value(parameter, value)}"
            for parameter, true, value in pairs
        ]
        sounds = (source.synth.render(drawn[at : at + 1])[:_HEARD, 0] for drawn in (truth, predicted))
        rows.append(["<br>".join(map(_text, values)), *(_player(sound, rate) for sound in sounds)])
    return "<h2>Listen</h2>" + _table(["true / predicted", "original", "rendered from the prediction"], rows)


def _value(spec: ParameterSpec, value: float) -> str:
    if spec.kind == "categorical":
        return category_name(spec, value)
    return f"{value:.3g}"


def _player(audio: np.ndarray, sample_rate: int) -> str:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio / max(1.0, float(np.abs(audio).max())), sample_rate, format="WAV", subtype="PCM_16")
    return f'<audio controls src="data:audio/wav;base64,{base64.b64encode(buffer.getvalue()).decode()}"></audio>'
