"""Refined answers of the samples that a report shows whole."""

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from src.data.spec import DatasetSpec
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.refinement.answers import make_refiner
from src.evaluation.refinement.options import Options
from src.models.heads.multi_head import Estimates
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

log = logging.getLogger(__name__)


def refine_rows(
    model: VIMHLitModule,
    spec: DatasetSpec,
    true: tuple[list[np.ndarray], np.ndarray],
    predictions: SplitPredictions,
    rows: Sequence[int],
    steps: int,
    trust: Iterable[str] = (),
) -> np.ndarray | None:
    """Return the refined values (k, P) of samples; None, and a warning, if they cannot be refined."""
    if not np.isfinite(predictions.value[rows]).all():
        return None
    try:
        refiner = make_refiner(model, spec, Options(iterations=steps), trust)
        fields = ("value", "sd", "low_68", "high_68", "low_90", "high_90")
        estimates = Estimates(*(np.asarray(getattr(predictions, name)[rows], np.float64) for name in fields))
        images = np.stack(true[0]).astype(np.float32) / np.float32(255.0)
        return refiner.refine(estimates, images, true[1], recorded=False)[0].values
    except UserError as error:  # the report is complete without
        log.warning("the report's samples are not refined: %s", error)
        return None
