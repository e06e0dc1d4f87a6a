"""Figures of categorical heads against scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
from sklearn import metrics
from torchmetrics.functional.classification import multiclass_calibration_error

from src.evaluation.class_metrics import auroc, calibration_error, class_metrics, precision_recall_f1, top_k

COUNT, CLASSES = 700, 5


def drawn(seed=0, ties=False):
    """Return probabilities (n, K), true categories that follow them, and the most likely ones."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(CLASSES, 0.4), COUNT)
    if ties:
        probabilities = np.round(probabilities + 0.05, 1)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    true = np.array([random.choice(CLASSES, p=row) for row in probabilities])
    return probabilities, true, probabilities.argmax(axis=1)


@pytest.mark.parametrize("ties", [False, True])
def test_all_figures_are_those_of_the_references(ties):
    probabilities, true, predicted = drawn(ties=ties)
    found = class_metrics(probabilities, true, predicted)
    expected = metrics.precision_recall_fscore_support(true, predicted, average="macro", zero_division=0)
    assert (found.precision, found.recall, found.f1) == pytest.approx(expected[:3])
    assert found.auroc == pytest.approx(metrics.roc_auc_score(true, probabilities, multi_class="ovr", average="macro"))
    if ties:  # confidences lie on edges of the calibration error's bins, where only rounding decides
        return
    ece = multiclass_calibration_error(torch.from_numpy(probabilities), torch.from_numpy(true), CLASSES, n_bins=15)
    assert found.ece == pytest.approx(float(ece), abs=1e-6)
    assert set(found.top_k) == {1, 2, 3}  # the fifth of five is always right
    for k, share in found.top_k.items():
        assert share == pytest.approx(metrics.top_k_accuracy_score(true, probabilities, k=k))


def test_categories_that_never_occur_are_left_out_of_averages():
    probabilities, true, predicted = drawn()
    wider = np.pad(probabilities, ((0, 0), (0, 2)))
    assert precision_recall_f1(true, predicted, 7) == precision_recall_f1(true, predicted, CLASSES)
    assert auroc(wider, true) == pytest.approx(auroc(probabilities, true))
    assert calibration_error(wider, true) == pytest.approx(calibration_error(probabilities, true))


def test_one_category_has_no_auroc():
    assert auroc(np.full((4, 2), 0.5), np.zeros(4, np.int64)) is None


def test_perfect_predictions_have_no_error():
    true = np.arange(6) % 3
    certain = np.eye(3)[true]
    found = class_metrics(certain, true, true)
    assert (found.f1, found.auroc, found.ece, top_k(certain, true, 1)) == (1.0, 1.0, 0.0, 1.0)
