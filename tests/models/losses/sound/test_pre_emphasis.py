"""Pre-emphasis against scipy's filter."""

import pytest
import scipy.signal
import torch

from src.models.losses.levels.cross_entropy import CrossEntropyLoss
from src.models.losses.sound.pre_emphasis import PreEmphasisLoss
from src.models.losses.values.distance import DistanceLoss

X, Y = torch.randn(2, 3, 2, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("coefficient", [0.85, 0.95, 0.0])
def test_loss_is_the_inner_one_after_scipys_filter(coefficient):
    inner = DistanceLoss(p=2)
    x, y = (torch.from_numpy(scipy.signal.lfilter([1, -coefficient], [1], each)) for each in (X, Y))
    found = PreEmphasisLoss(inner, coefficient, reduction="none")(X, Y)
    torch.testing.assert_close(found, inner.values(x, y))


def test_a_constant_offset_is_all_but_gone():
    assert PreEmphasisLoss(DistanceLoss(p=2))(X + 1, X).item() == pytest.approx(0.05**2 * 399 / 400 + 1 / 400)


def test_a_loss_on_levels_is_refused():
    with pytest.raises(ValueError, match=r"loss: CrossEntropyLoss takes .*levels.*; give a loss that takes waveforms"):
        PreEmphasisLoss(CrossEntropyLoss())
