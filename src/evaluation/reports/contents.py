"""What the scripts of a report's page read: predictions, the figures of the panels, pictures and sounds."""

from typing import Any

import numpy as np

from src.data.datamodule import BatchDataModule
from src.data.dataset import BatchDataset
from src.data.spec import DatasetSpec
from src.evaluation.image_axes import known_axes
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reports import panels
from src.evaluation.reports.examples import chosen_rows, make_examples, true_images
from src.evaluation.reports.explanations import explain_examples
from src.evaluation.reports.page import packed
from src.evaluation.reports.parameter_data import parameter_data
from src.evaluation.reports.refined import refine_rows
from src.evaluation.reports.thumbnails import thumbnails
from src.evaluation.rerender import rendering_source
from src.models.vimh_lit_module import VIMHLitModule

_NO_SOUNDS = "No sounds: the synth in the dataset's description is missing or cannot render here."
_NO_DATA = "No images and no sounds: the dataset of these predictions is not here."


def page_data(predictions: SplitPredictions) -> dict[str, Any]:
    """Return what the page's scripts read of predictions."""
    columns = range(len(predictions.space))
    pairs = [panels.confusion(predictions, at) for at in columns]
    heads, transforms = [], panels.pit_counts(predictions)
    for at, (spec, pair) in enumerate(zip(predictions.space, pairs, strict=True)):
        heads.append(
            {
                "confusion": {"names": pair.names, "counts": pair.counts.T.tolist()},  # [predicted][true]
                "by_value": [] if spec.kind == "categorical" else panels.errors_by_value(predictions, at),
                "reliability": panels.reliability(predictions, at),
                "pit": transforms[at],
            }
        )
    arrays = {
        "truth": predictions.truth,
        "value": predictions.value,
        "low": predictions.low_90,
        "high": predictions.high_90,
    }
    packs = {name: packed(np.asarray(array, np.float32).T) for name, array in arrays.items()}
    packs["true_bin"] = packed(np.stack([pair.true for pair in pairs]))
    packs["predicted_bin"] = packed(np.stack([pair.predicted for pair in pairs]))
    packs["error"] = packed(panels.relative_errors(predictions).mean(axis=1).astype(np.float32))
    return {
        "parameters": [parameter_data(spec) for spec in predictions.space],
        "heads": heads,
        "correlations": panels.error_correlations(predictions).tolist(),
        "predictions": packs,
        "first": next(iter(chosen_rows(predictions))),
    }


def pictures_and_sounds(
    predictions: SplitPredictions,
    spec: DatasetSpec | None,
    test: BatchDataset | None,
    model: VIMHLitModule | None,
    datamodule: BatchDataModule | None,
    refine: int,
) -> dict[str, Any]:
    """Return thumbnails and examples as data of a page, and `missing`, a sentence that says what cannot be shown."""
    trust = () if datamodule is None else datamodule.trust
    source = None if spec is None or spec.inputs.kind != "spectral" else rendering_source(spec, trust)
    chosen = chosen_rows(predictions)
    rows = list(chosen)
    true = true_images(predictions.truth[rows], rows, test, source)
    values = {"true": predictions.truth[rows], "predicted": predictions.value[rows]}
    refined = None
    if refine and model is not None and spec is not None and true is not None and source is not None:
        refined = refine_rows(model, spec, true, predictions, rows, refine, trust)
    if refined is not None:
        values["refined"] = refined
    examples = make_examples(chosen, values, spec, true, source)
    for example, answer in zip(examples, () if refined is None else refined.tolist(), strict=False):
        example["refined"] = answer
    explained, not_explained = explain_examples(predictions, model, true)
    for example, explanation in zip(examples, explained, strict=False):  # the first ones
        example["explained"] = explanation
    found: dict[str, Any] = {
        "examples": examples,
        "thumbnails": None if test is None else thumbnails(test),
        "axes": None if spec is None else known_axes(spec),
        "grey": spec is not None and spec.inputs.kind == "image",
        "not_explained": not_explained,
        "other_note": "",
        "missing": "",
    }
    if source is not None:
        found["other_note"] = "The page holds the sounds of the buttons above only, so that it stays small."
    elif spec is None:
        found["missing"] = _NO_DATA
    else:
        found["missing"] = _NO_SOUNDS if spec.inputs.kind == "spectral" else "No sounds: these are images."
    return found
