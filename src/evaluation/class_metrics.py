"""How well a categorical head predicts: top-k accuracy, F1, precision, recall, AUROC and calibration; NumPy alone.

`probabilities` are (n, K) float, `true` and `predicted` categories (n,) int64. Averages over categories ("macro") leave
out categories that are neither true nor predicted.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

BINS = 15  # of the calibration error: as in Guo et al.


@dataclass(frozen=True)
class ClassMetrics:
    """The figures of a categorical parameter, as fractions."""

    top_k: dict[int, float]  # accuracy if any of the k most likely categories counts
    precision: float  # macro averages
    recall: float
    f1: float
    auroc: float | None  # macro average of one category against the rest; None if only one category occurs
    ece: float  # expected calibration error of the most likely category's probability, 15 bins


def class_metrics(probabilities: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> ClassMetrics:
    """Return all figures of one categorical parameter."""
    precision, recall, f1 = precision_recall_f1(true, predicted, probabilities.shape[1])
    return ClassMetrics(
        top_k={k: top_k(probabilities, true, k) for k in (1, 2, 3, 5) if k < probabilities.shape[1]},
        precision=precision,
        recall=recall,
        f1=f1,
        auroc=auroc(probabilities, true),
        ece=calibration_error(probabilities, true),
    )


def top_k(probabilities: np.ndarray, true: np.ndarray, k: int) -> float:
    """Return the share of sounds whose true category is one of the k most likely."""
    most_likely = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((most_likely == true[:, None]).any(axis=1).mean())


def precision_recall_f1(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> tuple[float, float, float]:
    """Return the macro averages of precision, recall and F1; a ratio without any sound is 0."""
    hits = np.bincount(true[true == predicted], minlength=num_classes).astype(np.float64)
    of_true = np.bincount(true, minlength=num_classes)
    of_predicted = np.bincount(predicted, minlength=num_classes)
    occurs = of_true + of_predicted > 0
    figures = [hits / np.maximum(1, total) for total in (of_predicted, of_true)]
    figures.append(2.0 * hits / np.maximum(1, of_true + of_predicted))
    precision, recall, f1 = (float(figure[occurs].mean()) for figure in figures)
    return precision, recall, f1


def auroc(probabilities: np.ndarray, true: np.ndarray) -> float | None:
    """Return the mean area under the ROC curve of each category against the rest, of those that occur.

    It is the share of pairs (a sound of the category, another) that the probability ranks correctly.
    Source: Hanley & McNeil, The meaning and use of the area under a ROC curve, Radiology 143, 1982.
    """
    areas = []
    for category in range(probabilities.shape[1]):
        is_true = true == category
        own, others = int(is_true.sum()), int((~is_true).sum())
        if own and others:
            ranks = rankdata(probabilities[:, category])
            areas.append((ranks[is_true].sum() - own * (own + 1) / 2) / (own * others))
    return float(np.mean(areas)) if areas else None


def calibration_error(probabilities: np.ndarray, true: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error: mean |accuracy - confidence| over equal bins of the confidence.

    Source: Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599, equation 3.
    """
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    part = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    difference = np.bincount(part, hit - confidence, minlength=bins)
    return float(np.abs(difference).sum() / len(true))
