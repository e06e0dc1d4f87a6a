"""Stochastic depth: whole samples, scaled, in training only."""

import pytest
import torch

from src.models.components.drop_path import DropPath, drop_path_rates
from src.utils.errors import UserError


def test_a_sample_is_kept_whole_and_scaled_or_left_out():
    torch.manual_seed(0)
    branch = torch.rand(4000, 3, 5) + 1.0
    ratio = (DropPath(0.3)(branch) / branch).mul(1e4).round() / 1e4  # else a draw times a number has many quotients
    assert (ratio == ratio[:, :1, :1]).all()  # one draw a sample
    values, counts = ratio[:, 0, 0].unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.0, 1.4286]))  # 1 / 0.7
    share = counts[0].item() / 4000  # binomial: standard error 0.0072
    assert share == pytest.approx(0.3, abs=0.03)


def test_a_dropped_sample_passes_no_gradient():
    torch.manual_seed(0)
    branch = torch.ones(64, 2, requires_grad=True)
    output = DropPath(0.5)(branch)
    output.sum().backward()
    assert torch.equal(branch.grad, output.detach())
    assert (branch.grad == 0).any()


@pytest.mark.parametrize("rate", [0.0, 0.9])
def test_evaluation_changes_nothing(rate):
    branch = torch.rand(8, 3)
    assert torch.equal(DropPath(rate).eval()(branch), branch)


def test_rates_rise_linearly():
    assert drop_path_rates(0.3, 4) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1) == [0.0]
    assert drop_path_rates(0.3, 0) == []


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(UserError, match=r"^model.network.drop_path: \S+ given; give a fraction from 0 to below 1$"):
        DropPath(rate)
