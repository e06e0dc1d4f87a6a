"""Differentiable envelopes against the generator's, and their gradients against finite differences."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from src.synth import envelopes as generator
from src.synth.differentiable.envelopes import adsr, apply_decay

TIMES = {  # attack, decay, release in samples, no corner on a sample
    "fit": ([30.3, 0.4, 60.2], [50.9, 20.1, 0.6], [40.9, 70.3, 0.3]),
    "do not fit": ([200.3, 10.4, 300.1], [150.7, 220.2, 0.5], [100.9, 170.7, 0.7]),
}
SUSTAIN = [0.4, 0.9, 0.1]


def stages(which, dtype=torch.float64):
    attack, decay, release = TIMES[which]
    return [torch.tensor(one, dtype=dtype, requires_grad=True) for one in (attack, decay, SUSTAIN, release)]


@pytest.mark.parametrize("which", TIMES)
def test_adsr_equals_the_generators_and_its_gradients_match_finite_differences(which):
    given = stages(which)
    expected = generator.adsr(*(one.detach().numpy() for one in given), 201)
    np.testing.assert_allclose(adsr(*given, 201).detach(), expected, rtol=0, atol=1e-6)
    gradcheck(lambda *one: adsr(*one, 201, dtype=torch.float64), given, check_forward_ad=True, fast_mode=True)


def test_blocks_of_an_adsr_joined_equal_the_whole():
    given = stages("fit")
    whole = adsr(*given, 201)
    parts = [adsr(*given, 201, start, stop) for start, stop in ((0, 1), (1, 90), (90, None))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    weights = torch.randn(whole.shape, generator=torch.Generator().manual_seed(0))
    expected = torch.autograd.grad((whole * weights).sum(), given)
    found = torch.autograd.grad((torch.cat(parts) * weights).sum(), given)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_an_adsr_with_all_times_at_zero_has_finite_gradients():
    given = [torch.zeros(2, requires_grad=True) for _ in range(4)]
    gradients = torch.autograd.grad(adsr(*given, 100).sum(), given)
    assert all(one.isfinite().all() for one in gradients)


def decay_inputs(dtype):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(300, 4, generator=random, dtype=dtype)
    level, time_constant = torch.tensor([1.0, 0.5, 0.01, 0.0]), torch.tensor([800.0, 30.0, 2.0, 100.0])
    return [x.requires_grad_(), level.double().requires_grad_(), time_constant.double().requires_grad_()]


def test_decay_equals_the_generators_and_its_gradients_match_finite_differences():
    given = decay_inputs(torch.float32)
    out, level = apply_decay(*given)
    expected, expected_level = generator.apply_decay(*(one.detach().numpy() for one in given))
    np.testing.assert_allclose(out.detach(), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(level.detach(), expected_level, rtol=1e-9, atol=2 * generator.SILENCE)
    x, level, time_constant = decay_inputs(torch.float64)
    level = level.detach()[:3].requires_grad_()  # zero is an edge: see below
    gradcheck(apply_decay, (x[:, :3], level, time_constant[:3]), check_forward_ad=True, fast_mode=True)


def test_a_level_of_zero_has_the_gradient_of_any_other():
    x, level, time_constant = decay_inputs(torch.float32)
    (gradient,) = torch.autograd.grad(apply_decay(x, level, time_constant)[0].sum(), level)
    power = torch.exp(-torch.arange(300)[:, None] / time_constant.detach())
    torch.testing.assert_close(gradient, (x.detach() * power).sum(dim=0), rtol=1e-5, atol=1e-6)
