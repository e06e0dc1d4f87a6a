"""Differentiable oscillators against the generator's, and their gradients against finite differences."""

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad, gradcheck

from src.synth import oscillators as generator
from src.synth.differentiable.oscillators import naive_saw, wave

FS = 8000
FREQUENCIES = torch.tensor([50.3, 100.0, 440.0, 1333.0, 3999.0, 12_543.9], dtype=torch.float64)


@pytest.mark.parametrize("shape", generator.SHAPES)
def test_waves_equal_the_generators(shape):
    expected, state = generator.wave(shape, FREQUENCIES.numpy(), FS, 4000)
    out, phase = wave(shape, FREQUENCIES, FS, 4000)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(phase, state, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        naive_saw(FREQUENCIES, FS, 500), generator.saw(FREQUENCIES.numpy(), FS, 500, naive=True)[0]
    )


@pytest.mark.parametrize("shape", generator.SHAPES)
def test_gradients_of_pitch_and_phase_match_finite_differences(shape):
    """The wave is linear between the table's entries, so a step that stays between two of them is exact."""
    frequency = torch.tensor([50.3, 441.7, 1901.3], dtype=torch.float64, requires_grad=True)
    phase = torch.tensor([0.1234, 0.4321, 0.7777], dtype=torch.float64, requires_grad=True)

    def render(frequency, phase):
        return wave(shape, frequency, FS, 60, phase, dtype=torch.float64)

    gradcheck(render, (frequency, phase), eps=1e-7, rtol=1e-3, check_forward_ad=True)


def test_the_slope_of_a_sine_is_a_cosine():
    """d/df sin(2 pi f t) = 2 pi t cos(2 pi f t), to the table's resolution of 2 pi / 4096 periods."""
    frequency = torch.tensor([100.0], dtype=torch.float64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(frequency, torch.ones_like(frequency))
        tangent = forward_ad.unpack_dual(wave("sine", dual, FS, 800)[0]).tangent
    time = torch.arange(800, dtype=torch.float64)[:, None] / FS
    expected = 2 * torch.pi * time * torch.cos(2 * torch.pi * 100 * time)
    torch.testing.assert_close(tangent.double(), expected, rtol=0, atol=2e-3 * float(expected.abs().max()))


def test_blocks_joined_equal_the_whole_and_so_do_their_gradients():
    frequency = FREQUENCIES.clone().requires_grad_()
    weights = torch.randn(600, len(frequency), generator=torch.Generator().manual_seed(0))
    whole, _ = wave("saw", frequency, FS, 600)
    (expected,) = torch.autograd.grad((whole * weights).sum(), frequency)
    first, state = wave("saw", frequency, FS, 250)
    second, _ = wave("saw", frequency, FS, 350, state)
    joined = torch.cat([first, second])
    torch.testing.assert_close(joined, whole, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad((joined * weights).sum(), frequency)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-9)


def test_voices_of_one_pitch_equal_the_generators_and_each_has_its_gradient():
    frequency = torch.full((3,), 100.0, dtype=torch.float64, requires_grad=True)
    out, phase = wave("saw", frequency, FS, 500)
    expected, state = generator.wave("saw", frequency.detach().numpy(), FS, 500)
    np.testing.assert_array_equal(out.detach(), expected)
    np.testing.assert_array_equal(phase.detach(), state)
    (gradient,) = torch.autograd.grad((out.sum(dim=0) * torch.tensor([1.0, 2.0, 0.0])).sum(), frequency)
    torch.testing.assert_close(gradient, gradient[0] * torch.tensor([1.0, 2.0, 0.0]).double())
    assert gradient[0] != 0
