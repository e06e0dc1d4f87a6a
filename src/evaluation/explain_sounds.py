"""Explanations of predictions for sounds and datasets: a picture each, and its bands in the log."""

import logging
from pathlib import Path

import numpy as np
import torch

from src.data.dataset import load_batch
from src.data.info import read_spec
from src.data.spec import DatasetSpec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.attribution import grad_cam_plus_plus, silence
from src.evaluation.evaluate import require_same_targets
from src.evaluation.explain import Explanation, explain
from src.evaluation.explanation_plot import explanation_figure
from src.evaluation.plots import save_figure
from src.evaluation.predict import Explainer, clip_image, make_front_end
from src.models.tasks.parameters import predicts_parameters
from src.models.vimh_lit_module import AUXILIARY_INPUTS, VIMHLitModule
from src.utils.errors import UserError
from src.utils.files import path_text

log = logging.getLogger(__name__)

EXPLAINED = 16  # images of a dataset: a picture takes up to a second, and nobody looks at thousands


def make_explainer(model: VIMHLitModule, output_dir: Path) -> Explainer:
    """Return a function that writes NAME_explained.png for a clip, and logs its bands."""
    front_end = make_front_end(model.spec)
    _note_missing_cams(model)

    def explain_clip(clip: np.ndarray, name: str) -> None:
        _write(model.spec, explain(model, *clip_image(front_end, clip)), output_dir, name)

    return explain_clip


def explain_dataset(model: VIMHLitModule, directory: Path, output_dir: Path) -> None:
    """Write test_N_explained.png for the first images of the test split of a VIMH directory, and log their bands."""
    spec = read_spec(directory)
    require_same_targets(model.spec, spec)
    _note_missing_cams(model)
    dataset = VIMHDataset(directory, "test", spec=spec)
    for row in range(min(EXPLAINED, len(dataset))):
        batch = load_batch(dataset, [row], next(model.parameters()))
        _write(spec, explain(model, batch["image"], batch.get("scale")), output_dir, f"test_{row}")
    if len(dataset) > EXPLAINED:
        log.info("explained the first %d of %s test images", EXPLAINED, f"{len(dataset):,}")


def _note_missing_cams(model: VIMHLitModule) -> None:
    try:
        grad_cam_plus_plus(model, silence(model.spec), torch.zeros(1, AUXILIARY_INPUTS))
    except UserError as error:
        log.info("only integrated gradients are shown: %s", error)


def _write(spec: DatasetSpec, explanation: Explanation, output_dir: Path, name: str) -> None:
    path = output_dir / f"{name}_explained.png"
    save_figure(explanation_figure(spec, explanation), path)
    for parameter, band in zip(spec.space.names, explanation.bands, strict=True):
        log.info("%s: %s: half of what matters is in %s", path_text(path.name), parameter, band)


def require_explainable(model: VIMHLitModule) -> None:
    """Raise UserError if a model predicts no parameters."""
    if not predicts_parameters(model):
        raise UserError("explain: true given, but this model predicts no parameters; give explain=false")
