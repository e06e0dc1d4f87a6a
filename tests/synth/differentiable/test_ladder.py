"""The differentiable ladder against the generator's, and its gradients against finite differences in float64."""

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad, gradcheck

from src.synth import ladder as generator
from src.synth.differentiable.arrays import tell_of_copy
from src.synth.differentiable.ladder import ladder

FS = 8000


def voices(num_samples, num_voices=5, dtype=torch.float32, moving=True, seed=0):
    """Return x, cutoff in kHz, resonance and state, and octaves and envelope if the cutoff moves."""
    random = torch.Generator().manual_seed(seed)
    x, envelope = torch.rand(2, num_samples, num_voices, generator=random, dtype=torch.float64) * 2 - 1
    state = 0.1 * torch.randn(4, num_voices, generator=random, dtype=torch.float64)
    cutoff = torch.from_numpy(np.geomspace(0.1, 2.5, num_voices))
    given = [x, cutoff, torch.linspace(0, 0.98, num_voices, dtype=torch.float64), state]
    given += [torch.linspace(-2, 2, num_voices, dtype=torch.float64), envelope.abs()] if moving else []
    return [one.to(dtype).requires_grad_() for one in given]


def filtered(x, cutoff, resonance, state, octaves=None, envelope=None, drive=0.5):
    return ladder(x, 1000 * cutoff, resonance, FS, drive, octaves, envelope, state)


@pytest.mark.long
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("drive", [0.0, 0.5, 2.0])
def test_gradients_and_tangents_match_finite_differences(drive, moving):
    """Over three chunks, the last one short; from a state, and into the next block's."""
    given = voices(300, dtype=torch.float64, moving=moving)
    gradcheck(lambda *inputs: filtered(*inputs, drive=drive), given, check_forward_ad=True, fast_mode=True)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("drive", [0.0, 0.5, 2.0])
def test_it_equals_the_generators_ladder(drive, moving):
    x, cutoff, resonance, state, *move = (one.detach() for one in voices(1000, moving=moving))
    cutoff = cutoff.double()  # numpy would round 1000 * cutoff to single precision
    y, last = filtered(x, cutoff, resonance, state, *move, drive=drive)
    x, cutoff, resonance, state, *move = (one.numpy() for one in (x, cutoff, resonance, state, *move))
    expected, expected_last = generator.ladder(x, 1000 * cutoff, resonance, FS, drive, *(move or (None, None)), state)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(last, expected_last, rtol=0, atol=1e-6)


def test_blocks_joined_equal_the_whole_and_so_do_their_gradients():
    x, cutoff, resonance, state, octaves, envelope = voices(500)
    weights = torch.randn(500, 5, generator=torch.Generator().manual_seed(1))
    given = [x, cutoff, resonance, state, octaves, envelope]
    whole, last = filtered(*given)
    expected = torch.autograd.grad((whole * weights).sum(), given)
    parts, between = [], state
    for start, stop in ((0, 1), (1, 300), (300, 500)):
        part, between = filtered(x[start:stop], cutoff, resonance, between, octaves, envelope[start:stop])
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    torch.testing.assert_close(between, last, rtol=0, atol=0)
    gradients = torch.autograd.grad((torch.cat(parts) * weights).sum(), given)
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-4)  # sums in another order


def test_single_precision_follows_double_over_a_second():
    for_double = voices(8000, dtype=torch.float64)
    for_single = [one.detach().float().requires_grad_() for one in for_double]
    expected, found = (
        torch.autograd.grad(filtered(*given)[0].square().mean(), given) for given in (for_double, for_single)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def test_a_clamped_cutoff_has_gradient_zero_and_others_have_not():
    cutoff = torch.tensor([-100.0, 0.0, 5.0, 19.9, 20.1, 3599.0, 3601.0, 1e9], requires_grad=True)
    x = torch.rand(300, 8, generator=torch.Generator().manual_seed(0))
    octaves, envelope = torch.zeros(8, requires_grad=True), torch.rand(300, 8, requires_grad=True)
    for move in ((None, None), (octaves, envelope)):
        y, _ = ladder(x, cutoff, torch.full((8,), 0.5), FS, 0.5, *move)
        (gradient,) = torch.autograd.grad(y.square().sum(), cutoff)
        assert (gradient != 0).tolist() == [False] * 4 + [True] * 2 + [False] * 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    half = [one.detach().to(dtype).requires_grad_() for one in voices(300)]
    single = [one.detach().float().requires_grad_() for one in half]
    y, expected = filtered(*half)[0], filtered(*single)[0]
    assert y.dtype == dtype
    # 1000 * cutoff is rounded to half precision before the ladder sees it
    torch.testing.assert_close(y.float(), expected, rtol=0, atol=0.1)
    gradients = torch.autograd.grad(y.float().square().mean(), half)
    assert all(one.dtype == dtype and one.isfinite().all() for one in gradients)


def test_silence_stays_silent_with_finite_gradients():
    given = voices(2000)
    given[0], given[3] = torch.zeros(2000, 5, requires_grad=True), torch.zeros(4, 5, requires_grad=True)
    y, _ = filtered(*given)
    assert not y.any()
    gradients = torch.autograd.grad(y.sum(), given)
    assert all(one.isfinite().all() for one in gradients) and gradients[0].any()


def test_a_tangent_in_single_precision_follows_double():
    tangents = []
    for dtype in (torch.float32, torch.float64):
        x, cutoff, *rest = (one.detach() for one in voices(300, dtype=dtype))
        with forward_ad.dual_level():
            y, _ = filtered(x, forward_ad.make_dual(cutoff, cutoff), *rest)
            tangents.append(forward_ad.unpack_dual(y).tangent.double())
    torch.testing.assert_close(*tangents, rtol=1e-3, atol=1e-3 * float(tangents[1].abs().max()))


def test_only_the_first_copy_from_a_device_is_told(caplog):
    tell_of_copy.cache_clear()
    with caplog.at_level("INFO"):
        tell_of_copy("mps")
        tell_of_copy("mps")
    (record,) = caplog.records
    assert "work on a copy of what is on mps" in record.message
