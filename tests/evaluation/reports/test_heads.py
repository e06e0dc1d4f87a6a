"""The table of errors says what NumPy computes from predictions.npz."""

import numpy as np
import pytest

from src.evaluation.reports.heads import head_figures, head_table
from tests.evaluation.reports.made import SPACE, make_predictions

PREDICTIONS = make_predictions(500)


def test_errors_baselines_and_coverage_are_means():
    rows = head_figures(PREDICTIONS, np.arange(4.0))
    truth, value = PREDICTIONS.truth, PREDICTIONS.value
    for at, row in enumerate(rows):
        low, high = row.error_interval
        assert low <= row.error <= high and row.neighbour == at
        if SPACE.varying[at].kind == "categorical":
            assert row.error == (PREDICTIONS.level != PREDICTIONS.true_level)[:, at].mean()
            usual = round(float(truth[:, at].mean()))
            assert row.baseline == (PREDICTIONS.true_level[:, at] != usual).mean()
            assert row.coverage_90 is None and row.image_limit is None
        else:
            assert row.error == pytest.approx(np.abs(value - truth)[:, at].mean())
            assert row.baseline == pytest.approx(np.abs(truth[:, at].mean() - truth[:, at]).mean())
            assert row.share_of_baseline == pytest.approx(row.error / row.baseline)
            assert row.coverage_90 == pytest.approx(0.9, abs=0.06) and row.image_limit == pytest.approx(0.001)


def test_intervals_are_those_of_a_normal_mean():
    row = head_figures(PREDICTIONS)[1]
    error = np.abs(PREDICTIONS.value - PREDICTIONS.truth)[:, 1]
    half = 1.96 * error.std() / np.sqrt(500)
    assert row.error_interval == pytest.approx((error.mean() - half, error.mean() + half), rel=0.02)
    assert row.neighbour is None


def test_columns_without_a_figure_are_left_out():
    columns, cells = head_table(head_figures(PREDICTIONS))
    headings = [column.heading for column in columns]
    assert "nearest neighbour" not in headings and headings[:3] == ["parameter", "unit", "MAE"]
    assert all(len(line) == len(columns) for line in cells)
