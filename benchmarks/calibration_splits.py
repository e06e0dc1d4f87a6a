"""Coverage over many random splits, and how else the intervals could be made: by the rule of calibration.py's table."""

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from src.data.dataset import BatchDataset, load_batch
from src.models.heads.calibration import LEVELS, Calibration, conformal_quantile, fit
from src.models.tasks.parameters import parameters_of
from src.models.vimh_lit_module import VIMHLitModule

SPLITS = 100
LEAST_CORRELATION = 0.3  # of spread and |error|, from which the rule normalises
SCHEMES = ("fitted", "rule", "plain")


def samples_of(model: VIMHLitModule, dataset: BatchDataset) -> Tensor:
    """Return (n, P, 3): error, spread and width of each head, on the unit scale."""
    batch, heads = load_batch(dataset, np.arange(len(dataset)), next(model.parameters())), parameters_of(model)
    with torch.inference_mode():
        outputs = heads(model.eval().features(batch["image"], batch.get("scale")))
        return torch.stack(heads.measure(outputs, batch["target"])[:3], dim=2)


def split_coverages(samples: Tensor, splits: int = SPLITS) -> list[dict[str, list[float | None]]]:
    """Return by parameter and scheme the means over splits of samples (n, P, 3) into halves that fit and test.

    They are the coverage of the 90 % interval, its mean half width relative to that of `plain`, and the coverage in the
    quarter of the samples with the largest spread, None if the spread is constant. `plain` is the same for every
    sample. `rule` is proportional to the spread where its rank correlation with |error| is at least 0.3 on a half of
    the samples that fit, and its factor comes from the other half; otherwise it is plain.
    """
    found = []
    for seed in range(splits):
        order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
        fitting, test = samples[order].double().chunk(2)
        half_widths = {"fitted": _fitted(fitting, test), "rule": _rule(fitting, test), "plain": _plain(fitting)}
        error, spread = test[..., 0].abs(), test[..., 1]
        uncertain = spread > spread.quantile(0.75, dim=0)
        figures = []
        for name in SCHEMES:
            inside = (error <= half_widths[name]).double()
            ratio = (half_widths[name] / half_widths["plain"]).expand_as(inside).mean(dim=0)
            figures.append(torch.stack([inside.mean(dim=0), ratio, (inside * uncertain).sum(0) / uncertain.sum(0)]))
        found.append(torch.stack(figures))
    means = torch.stack(found).mean(dim=0).permute(2, 0, 1)  # (P, schemes, figures)
    rows = []
    for parameter in means.tolist():
        plain = [[None if figure != figure else figure for figure in scheme] for scheme in parameter]
        rows.append(dict(zip(SCHEMES, plain, strict=True)))
    return rows


def _plain(fitting: Tensor) -> Tensor:
    return conformal_quantile(fitting[..., 0].abs().sort(dim=0).values, LEVELS[1])


def _fitted(fitting: Tensor, test: Tensor) -> Tensor:
    calibration = Calibration(torch.zeros(fitting.shape[1], dtype=torch.bool))
    calibration.update(fit(fitting))
    return calibration.factors[:, 1] * calibration.deviation(test[..., 1], test[..., 2])


def _rule(fitting: Tensor, test: Tensor) -> Tensor:
    choosing, calibrating = fitting.chunk(2)
    columns = []
    for at in range(fitting.shape[1]):
        spread, error = choosing[:, at, 1], choosing[:, at, 0].abs()
        ranks = spread.std() > 1e-9 and spearmanr(spread, error).statistic >= LEAST_CORRELATION
        divisors = [half[:, at, 1] if ranks else torch.ones(len(half)) for half in (calibrating, test)]
        ratio = (calibrating[:, at, 0].abs() / divisors[0]).sort().values
        columns.append(conformal_quantile(ratio[:, None], LEVELS[1]) * divisors[1])
    return torch.stack(columns, dim=1)
