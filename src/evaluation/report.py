"""A report to look at and listen to: one self-contained HTML file."""

import base64
import html
import io
from pathlib import Path

import numpy as np
import soundfile

from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.evaluate import Evaluation, predict_values
from src.evaluation.plots import scatter_figure
from src.evaluation.rerender import rendering_source
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.files import write_whole

_PLOTTED = 1000
_HEARD = 6  # sounds: enough to judge by ear, few enough to listen to

_PAGE = """<!doctype html>
<meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
th, td {{ padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right }}
th:first-child, td:first-child {{ text-align: left }}
img {{ max-width: 100% }} .blind {{ color: #a00 }}
</style>
<h1>{title}</h1>
<p>Test split, {count} sounds that were neither trained on nor used to choose the checkpoint.</p>
{figures}
<p>Floor: the true values, rounded to the byte that a record holds. Share: MAE / MAE of predicting the mean.
Step and range: how far the image moves, in levels of 255, when that parameter alone moves by one step, or from its
minimum to its maximum.</p>
<h2>Predicted against true</h2>
<img alt="scatter plots" src="data:image/png;base64,{scatter}">
{sounds}
"""


def write_report(evaluation: Evaluation, model: VIMHLitModule, datamodule: VIMHDataModule, output_dir: Path) -> Path:
    """Write report.html below `output_dir`; return its path."""
    test, space = datamodule.dataset("test"), model.spec.space
    predicted = predict_values(model, test, _PLOTTED)
    truth = space.denormalize(test.targets()[: len(predicted)])
    picture = io.BytesIO()
    scatter_figure(space, truth, predicted).savefig(picture, format="png", dpi=110)
    page = _PAGE.format(
        title=html.escape(evaluation.dataset),
        count=evaluation.num_samples,
        figures=_figures(evaluation, model),
        scatter=base64.b64encode(picture.getvalue()).decode(),
        sounds=_sounds(model, truth[:_HEARD], predicted[:_HEARD]),
    )
    path = output_dir / "report.html"
    write_whole(path, page.encode())
    return path


def _table(headings: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}" for cell in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}" for cell in row) for row in rows)
    return f"<table><tr>{head}{body}</table>"


def _figures(evaluation: Evaluation, model: VIMHLitModule) -> str:
    reach = {row["name"]: row for row in model.spec.sensitivity}
    rows = []
    for row in evaluation.rows:
        moved = reach.get(row.name)
        levels = [f"{moved['step_levels']:.2f}", f"{moved['range_levels']:.2f}"] if moved else ["", ""]
        name = f"<span class=blind>{row.name} (blind)</span>" if moved and moved["blind"] else row.name
        shares = [f"{100 * share:.1f} %" for share in (row.share, row.accuracy, row.within_one_step)]
        errors = [f"{row.mae:.4g} {row.unit}", f"{row.floor:.2g}", f"{row.baseline:.4g}"]
        rows.append([name, *errors, *shares, *levels])
    if evaluation.image_error:
        error = evaluation.image_error
        share = f"{100 * error.predicted / error.baseline:.1f} %"
        errors = [f"{error.predicted:.3g} dB", f"{error.floor:.2g}", f"{error.baseline:.3g}"]
        rows.append(["image, re-rendered", *errors, share, "", "", "", ""])
    headings = ["parameter", "MAE", "floor", "predict the mean", "share", "accuracy", "within a step", "step", "range"]
    return _table(headings, rows)


def _sounds(model: VIMHLitModule, truth: np.ndarray, predicted: np.ndarray) -> str:
    source = rendering_source(model.spec)
    if source is None:
        return "<p>No sounds: the dataset's description names no synth to render with.</p>"
    rate, space = source.synth.config.sample_rate, model.spec.space
    original, again = (source.synth.render(values).T for values in (truth, predicted))
    rows = []
    for at in range(len(truth)):
        values = "<br>".join(
            f"{name} {true:.3g} / {found:.3g}"
            for name, true, found in zip(space.names, truth[at], predicted[at], strict=True)
        )
        rows.append([values, _player(original[at], rate), _player(again[at], rate)])
    return "<h2>Listen</h2>" + _table(["true / predicted", "original", "rendered from the prediction"], rows)


def _player(audio: np.ndarray, sample_rate: int) -> str:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio / max(1.0, float(np.abs(audio).max())), sample_rate, format="WAV", subtype="PCM_16")
    return f'<audio controls src="data:audio/wav;base64,{base64.b64encode(buffer.getvalue()).decode()}"></audio>'
