"""Cross entropies against sums written out in numpy float64."""

import numpy as np
import pytest
import scipy.special
import torch

from src.models.losses.levels.cross_entropy import CrossEntropyLoss, WeightedCrossEntropyLoss

LOGITS = np.random.default_rng(0).normal(0, 2, (5, 6))
LEVELS = np.array([0, 5, 2, 2, 4])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_matches_scipy(smoothing):
    target = (1 - smoothing) * np.eye(6)[LEVELS] + smoothing / 6
    expected = -(target * scipy.special.log_softmax(LOGITS, axis=1)).sum(axis=1)
    values = CrossEntropyLoss(smoothing, "none")(torch.tensor(LOGITS), torch.tensor(LEVELS))
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize(("power", "base"), [(2.0, 1.0), (1.0, 0.0), (0.5, 3.0), (0.0, 0.0)])
def test_weighted_cross_entropy_prices_each_wrong_level_by_its_distance(power, base):
    loss = WeightedCrossEntropyLoss(6, distance_power=power, base_weight=base, reduction="none")
    values = loss(torch.tensor(LOGITS), torch.tensor(LEVELS))
    p = scipy.special.softmax(LOGITS, axis=1)
    for value, row, y in zip(values, p, LEVELS, strict=True):
        price = sum((base + abs(j - y) ** power) * row[j] for j in range(6) if j != y)
        assert value.item() == pytest.approx(-np.log(row[y]) + price, rel=1e-6)


def test_weighted_cross_entropy_with_power_one_and_no_base_is_expected_distance_more():
    logits = torch.tensor([[0.0, 0.0, 0.0]])
    value = WeightedCrossEntropyLoss(3, 1.0, 0.0)(logits, torch.tensor([0]))
    assert value.item() == pytest.approx(np.log(3) + (1 + 2) / 3)


@pytest.mark.parametrize("level", [-1, 6])
def test_a_level_outside_the_range_is_refused(level):
    for loss in (CrossEntropyLoss(), WeightedCrossEntropyLoss(6)):
        with pytest.raises(ValueError, match=rf"int64 from {level} to {level} given; it takes logits.*from 0 to K - 1"):
            loss(torch.zeros(1, 6), torch.tensor([level]))


def test_the_price_table_is_no_part_of_a_checkpoint():
    assert not WeightedCrossEntropyLoss(6).state_dict()
