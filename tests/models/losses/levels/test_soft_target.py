"""Soft targets: their modes, their ends, and the divergence from them."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from src.models.losses.levels.soft_target import SoftTargetLoss

MODES = ["triangular", "log_triangular", "gaussian"]


def targets(loss):
    """Return the soft target of each level: the distribution at which the loss is 0 is found in its table."""
    return loss.table.double().numpy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("num_classes", "width"), [(2, 1), (7, 0), (7, 2.5), (256, 300)])
def test_rows_are_distributions_that_peak_at_their_level(mode, num_classes, width):
    table = targets(SoftTargetLoss(num_classes, mode, width, sigma=2.0))
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=2e-6)
    assert (table >= 0).all()
    assert (table.argmax(axis=1) == np.arange(num_classes)).all()


def test_triangular_honours_its_width_in_full():
    table = targets(SoftTargetLoss(9, "triangular", width=2))
    np.testing.assert_allclose(table[4], np.array([0, 0, 1, 2, 3, 2, 1, 0, 0]) / 9, rtol=1e-6)
    np.testing.assert_allclose(table[0], np.array([3, 2, 1, 0, 0, 0, 0, 0, 0]) / 6, rtol=1e-6)
    np.testing.assert_allclose(table[8], table[0][::-1], rtol=1e-6)


def test_gaussian_matches_scipy():
    table = targets(SoftTargetLoss(30, "gaussian", sigma=3.0))
    for level in (0, 13, 29):
        density = scipy.stats.norm.pdf(np.arange(30), level, 3.0)
        np.testing.assert_allclose(table[level], density / density.sum(), rtol=1e-5)


def test_log_triangular_falls_by_e_per_level_up_to_its_width():
    row = targets(SoftTargetLoss(9, "log_triangular", width=2))[4]
    np.testing.assert_allclose(np.log(row[4:7] / row[4]), [0, -1, -2], rtol=1e-6)
    assert (row[[0, 1, 7, 8]] == 0).all()


@pytest.mark.parametrize("mode", MODES)
def test_value_is_the_divergence_by_scipy_and_its_least_value_is_zero(mode):
    loss = SoftTargetLoss(8, mode, width=3, sigma=1.2, reduction="none")
    logits, levels = np.random.default_rng(1).normal(0, 2, (8, 8)), np.arange(8)
    p = scipy.special.softmax(logits, axis=1)
    expected = [scipy.stats.entropy(q, row) for q, row in zip(targets(loss), p, strict=True)]
    np.testing.assert_allclose(loss(torch.tensor(logits), torch.tensor(levels)), expected, rtol=1e-5)
    perfect = loss.table.clamp_min(1e-30).log()
    np.testing.assert_allclose(loss(perfect, torch.tensor(levels)), 0, atol=1e-6)


def test_width_zero_is_cross_entropy():
    logits, levels = torch.randn(5, 6, dtype=torch.float64), torch.tensor([0, 5, 2, 3, 1])
    value = SoftTargetLoss(6, "triangular", width=0)(logits, levels)
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(logits, levels))


def test_a_level_or_a_number_of_levels_that_does_not_fit_is_refused():
    loss = SoftTargetLoss(6)
    with pytest.raises(ValueError, match=r"int64 from -1 to -1 given; it takes logits.*from 0 to K - 1"):
        loss(torch.zeros(1, 6), torch.tensor([-1]))
    with pytest.raises(ValueError, match=r"prediction \(1, 5\) given, but num_classes is 6"):
        loss(torch.zeros(1, 5), torch.tensor([0]))
    assert not loss.state_dict()
