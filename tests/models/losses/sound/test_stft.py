"""STFT losses against auraloss and by hand."""

import math

import pytest
import torch

from src.models.losses.sound.stft import LogSTFTLoss, MultiResolutionSTFTLoss, SpectralConvergenceLoss

_NOISE = torch.Generator().manual_seed(0)
TARGET = 0.1 * torch.randn(3, 9000, generator=_NOISE, dtype=torch.float64)
PREDICTION = TARGET + 0.05 * torch.randn(3, 9000, generator=_NOISE, dtype=torch.float64)


@pytest.mark.parametrize(
    "weights", [(1.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 2.0, 3.0)]
)
def test_value_and_gradient_match_auraloss_at_its_defaults(weights):
    auraloss = pytest.importorskip("auraloss")
    names = ("w_sc", "w_log_mag", "w_lin_mag")
    ours = MultiResolutionSTFTLoss(**dict(zip(names, weights, strict=True)), reduction="none")
    theirs = auraloss.freq.MultiResolutionSTFTLoss(**dict(zip(names, weights, strict=True)))
    prediction = PREDICTION.clone().requires_grad_()
    values = ours(prediction, TARGET)
    expected = torch.stack([theirs(prediction[at, None, None], TARGET[at, None, None]) for at in range(3)])
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=0)
    gradients = [torch.autograd.grad(each.sum(), prediction)[0] for each in (values, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-9)


def test_defaults_are_those_of_auraloss():
    auraloss = pytest.importorskip("auraloss")
    theirs = auraloss.freq.MultiResolutionSTFTLoss().stft_losses
    ours = MultiResolutionSTFTLoss()
    sizes = [(op.n_fft, op.hop_length, len(op.window)) for op in ours.ops]
    assert sizes == [(each.fft_size, each.hop_size, each.win_length) for each in theirs]
    assert (ours.w_sc, ours.w_log_mag, ours.w_lin_mag) == (theirs[0].w_sc, theirs[0].w_log_mag, theirs[0].w_lin_mag)


@pytest.mark.parametrize("gain", [0.25, 3.0])
def test_a_gain_of_the_target(gain):
    """Spectral convergence |1 - g|, log magnitudes |ln g|, whatever the sound."""
    assert SpectralConvergenceLoss()(gain * TARGET, TARGET).item() == pytest.approx(abs(1 - gain), rel=1e-6)
    assert LogSTFTLoss()(gain * TARGET, TARGET).item() == pytest.approx(abs(math.log(gain)), rel=1e-4)
    both = MultiResolutionSTFTLoss(w_sc=2.0, w_log_mag=0.5)(gain * TARGET, TARGET)
    assert both.item() == pytest.approx(2 * abs(1 - gain) + 0.5 * abs(math.log(gain)), rel=1e-4)


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.0), (1.0, -1.0, 0.0)])
def test_weights_that_make_no_loss_are_refused(weights):
    names = ("w_sc", "w_log_mag", "w_lin_mag")
    with pytest.raises(ValueError, match=r"w_sc, w_log_mag, w_lin_mag: .* given; give >= 0, and one > 0"):
        MultiResolutionSTFTLoss(**dict(zip(names, weights, strict=True)))


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2, 3 and 3 given"):
        MultiResolutionSTFTLoss(fft_sizes=[512, 256])
