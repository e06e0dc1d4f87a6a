"""What TensorBoard shows first: a layout of few charts, and a summary of the run as text."""

import re
import shlex
from collections.abc import Sequence

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from src.data.datamodule import BatchDataModule
from src.evaluation.baselines import baseline_values
from src.models.tasks.parameters import parameters_of, predicts_parameters
from src.models.vimh_lit_module import VIMHLitModule
from src.run.ranks import rank
from src.utils.table import Column, escape_markdown, markdown

_NOTE = (
    "mean baseline: the error on the validation split of always predicting the training split's mean, or its most "
    "frequent category"
)


def log_overview(
    loggers: Sequence[Logger], model: VIMHLitModule, datamodule: BatchDataModule, command: Sequence[str]
) -> None:
    """Write the layout and the summary to each TensorBoard logger; only the first of several processes does."""
    writers = [logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger)]
    if rank() or not writers:
        return
    text = summary(model, datamodule, command)
    for writer in writers:
        writer.add_custom_scalars(layout(model))
        writer.add_text("run", text, 0)


def layout(model: VIMHLitModule) -> dict[str, dict[str, list]]:
    """Return the charts of the tab Custom Scalars by category: the losses, the mean error, and each head's error."""
    training = {"loss": _chart("train/loss", "val/loss")}
    if "val/nmae" in model.monitorable:
        training["val/nmae"] = _chart("val/nmae")
    heads = {}
    for shown in model.heads.shown_metrics:
        unit = "accuracy" if shown.share else shown.unit
        heads[f"{shown.label} ({unit})" if unit else shown.label] = _chart(f"val/{shown.metric}")
    return {"training": training, "validation error of each head": heads}


def _chart(*tags: str) -> list:
    return ["Multiline", [f"{re.escape(tag)}$" for tag in tags]]  # TensorBoard reads them as regular expressions


def summary(model: VIMHLitModule, datamodule: BatchDataModule, command: Sequence[str]) -> str:
    """Return what is trained on what, in Markdown, with the error that a model must undercut."""
    spec = model.spec
    counts = ", ".join(f"{count:,} {split}" for split, count in spec.counts.items())
    size = " x ".join(map(str, spec.image_shape))
    weights = sum(weight.numel() for weight in model.parameters())
    parts = [
        f"**Dataset** {escape_markdown(spec.name)}: {counts}; images (channels, height, width) {size}",
        f"**Network** {type(model.network).__name__}, {weights:,} parameters with the heads",
    ]
    if predicts_parameters(model):
        parts.append(_parameters(model, datamodule))
    program, arguments = shlex.join(["python", *command[1:2]]), map(shlex.quote, command[2:])
    lines = " \\\n  ".join([program, *arguments])  # an argument a line: TensorBoard cuts long lines
    return "\n\n".join([*parts, f"```\n{lines}\n```"])


def _parameters(model: VIMHLitModule, datamodule: BatchDataModule) -> str:
    """Return a table of the parameters, their heads, and if the data has labels the mean baseline."""
    space, heads = model.spec.space, parameters_of(model).heads
    columns = [Column("parameter", text=True), Column("range", text=True), Column("head", text=True)]
    rows = [[one.name, one.describe_range(), heads[one.name].config.kind] for one in space]
    train, val = datamodule.dataset("train"), datamodule.dataset("val")
    if not (train.labelled and val.labelled):
        return markdown(columns, rows)
    columns.append(Column("mean baseline"))
    truth = space.denormalize(val.targets())
    baseline = baseline_values(space, space.denormalize(train.targets()))
    errors = np.abs(truth - baseline).mean(axis=0)
    right = (space.to_class(truth) == space.to_class(baseline)).mean(axis=0)
    for at, (one, row) in enumerate(zip(space, rows, strict=True)):
        row.append(f"{100 * right[at]:.0f} % right" if one.kind == "categorical" else f"{errors[at]:.3g} {one.unit}")
    return f"{markdown(columns, rows)}\n\n{_NOTE}"
