"""auraloss's losses by name, one example at a time."""

import importlib.util

import pytest
import torch

from src.models.losses.sound.auraloss_wrapper import AuralossLoss

X, Y = torch.randn(2, 3, 4000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["MultiResolutionSTFTLoss", "STFTLoss", "ESRLoss", "SNRLoss"])
def test_each_example_has_the_value_it_has_alone(name):
    pytest.importorskip("auraloss")
    loss = AuralossLoss(name, reduction="none")
    alone = torch.cat([loss(x[None], y[None]) for x, y in zip(X, Y, strict=True)])
    torch.testing.assert_close(loss(X, Y), alone)


def test_arguments_reach_the_class_and_stereo_passes():
    auraloss = pytest.importorskip("auraloss")
    x, y = X[:2].view(1, 2, -1), Y[:2].view(1, 2, -1)
    expected = auraloss.freq.SumAndDifferenceSTFTLoss([256], [64], [256], w_sum=0.3)(x, y)
    arguments = {"fft_sizes": [256], "hop_sizes": [64], "win_lengths": [256], "w_sum": 0.3}
    torch.testing.assert_close(AuralossLoss("SumAndDifferenceSTFTLoss", **arguments)(x, y), expected)


def test_a_gradient_arrives():
    pytest.importorskip("auraloss")
    prediction = X.clone().requires_grad_()
    AuralossLoss()(prediction, Y).backward()
    assert prediction.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["MyLoss", "STFTMagnitudeLoss"])
def test_a_class_that_is_unknown_or_takes_no_waveforms_is_refused(name):
    pytest.importorskip("auraloss")
    with pytest.raises(ValueError, match=rf"^name_in_auraloss: '{name}' given; give one of .*ESRLoss"):
        AuralossLoss(name)


def test_where_auraloss_is_missing_the_command_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"auraloss is not installed; install it with: uv pip install auraloss"):
        AuralossLoss()
