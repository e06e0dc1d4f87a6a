"""The energies of a split's samples under each head with logits, beside those of other samples.

The energy is -log sum exp of the logits: the higher, the less the head knows such samples, if it is of any use.
Source: Liu, Wang, Owens & Li, Energy-based Out-of-distribution Detection, arXiv 2010.03759.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from src.utils.table import Column, csv_text

if TYPE_CHECKING:  # torch, which reading results does not need
    from src.models.vimh_lit_module import VIMHLitModule

log = logging.getLogger(__name__)

Energies = Mapping[str, np.ndarray]  # (n,) by parameter

FILE = "energies.csv"
ENERGY_NOTE = (
    "energy: -log sum exp of the logits; AUROC: share of pairs (a test sample, an unlike one) of which the unlike one "
    "has the higher energy"
)
_BINS = 20


def energies_csv(test: Energies, unlike: Energies | None = None) -> bytes:
    """Return energies.csv: for each parameter a histogram of the energies, in bins of equal width."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    groups = {"test": test} | ({} if unlike is None else {"unlike": unlike})
    writer.writerow(["parameter", "energy_from", "energy_to", *groups])
    for name in test:
        every = np.concatenate([group[name] for group in groups.values()])
        edges = np.histogram_bin_edges(every[np.isfinite(every)], _BINS)  # a network that diverged has others
        counts = [np.histogram(group[name], edges)[0].tolist() for group in groups.values()]
        for low, high, *numbers in zip(edges[:-1], edges[1:], *counts, strict=True):
            writer.writerow([csv_text(name), f"{low:.6g}", f"{high:.6g}", *numbers])
    return text.getvalue().encode()


def energy_table(test: Energies, unlike: Energies) -> tuple[list[Column], list[list[str]]]:
    """Return how far the energies of unlike samples differ from those of the test split, a row for each parameter."""
    columns = [Column("parameter", text=True), Column("median energy, test"), Column("unlike"), Column("AUROC")]
    rows = []
    for name in test:
        medians = [f"{np.median(group[name]):.3g}" for group in (test, unlike)]
        rows.append([name, *medians, f"{_area(test[name], unlike[name]):.3f}"])
    return columns, rows


def _area(low: np.ndarray, high: np.ndarray) -> float:
    """Return the area under the ROC curve of a score that should be higher in `high` (m,) than in `low` (n,)."""
    ranks = rankdata(np.concatenate([low, high]))[len(low) :]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(low) * len(high)))


def energies_of(model: VIMHLitModule, source: Path) -> Energies:
    """Return the energies of the test split of a VIMH directory, or of a sound file or a folder of them.

    Raises UserError for images of another kind than the model's; a file that cannot be read is logged.
    """
    import torch

    from src.evaluation.features import features_of_dataset, features_of_files
    from src.evaluation.predict import sound_files
    from src.models.tasks.parameters import parameters_of
    from src.utils.errors import UserError

    heads = parameters_of(model)
    faults: list[str] = []
    if (source / "vimh_dataset_info.json").is_file():
        features = features_of_dataset(model, source)
    else:
        features, faults = features_of_files(model, sound_files(source), None)
    if not features:
        others = f"; nor can the {len(faults) - 1} other files be read" if len(faults) > 1 else ""
        raise UserError(f"unlike: {faults[0]}{others}")
    for fault in faults:
        log.error(fault)
    with torch.inference_mode():
        outputs = heads(torch.from_numpy(np.stack(list(features.values()))).to(heads.linear.weight))
        energies = heads.energies(outputs)
    if not energies:
        raise UserError("unlike: no head of this model has logits; leave it out, or train with heads=classification")
    return {name: energy.cpu().numpy() for name, energy in energies.items()}
