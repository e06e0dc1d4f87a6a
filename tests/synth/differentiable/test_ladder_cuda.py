"""The Triton kernels of the ladder against the compiled ones: interpreted on the CPU, and on CUDA if there is any."""

import importlib.util
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from torch.autograd import forward_ad

from src.synth.differentiable import ladder_cpu
from src.synth.differentiable.ladder import ladder
from src.synth.differentiable.stage_gain import adjoint_in_torch, compiled_adjoint, compiled_gain, gain_in_torch

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
FS = 8000


def arguments(num_samples, num_voices, moving, seed=0):
    """Return x, gain, feedback and state, resonance up to 0.98, and a tangent or gradient for each of them."""
    random = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(num_samples, num_voices, generator=random) - 1
    gain = 0.05 + 0.4 * torch.rand(num_samples if moving else 1, num_voices, generator=random)
    given = [x, gain, torch.linspace(0, 3.92, num_voices), 0.1 * torch.randn(4, num_voices, generator=random)]
    return given, [torch.randn(one.shape, generator=random) for one in given]


def passes_of(module, drive, moving):
    """Return all that the passes of a module compute, for 13 samples of 3 voices: chunks of 5, the last short."""
    given, others = arguments(13, 3, moving)
    y, last, checkpoints = module.filtered(*given, drive)
    gradients = module.adjoint(*given[:3], checkpoints, drive, others[0], others[3])
    return [y, last], [*gradients, *module.tangent(*given, drive, *others)]


def interpreted(drive, moving):
    """Return `passes_of` the Triton kernels and two blocks joined, in a process in which triton interprets them."""
    from src.synth.differentiable import ladder_cuda

    ladder_cuda.CHUNK, ladder_cuda.LANES = 5, 2
    (x, gain, *rest), _ = arguments(13, 3, moving)
    feedback, state = rest
    first, state, _ = ladder_cuda.filtered(x[:3], gain[:3], feedback, state, drive)
    second, state, _ = ladder_cuda.filtered(x[3:], gain[3:] if moving else gain, feedback, state, drive)
    return *passes_of(ladder_cuda, drive, moving), [torch.cat([first, second]), state]


@pytest.fixture(scope="module")
def interpreter():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")  # read where triton is imported, so in a process of its own
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            yield lambda *given: pool.submit(interpreted, *given).result()


@needs_triton
@pytest.mark.parametrize(("drive", "moving"), [(0.0, True), (0.5, False), (2.0, True)])
def test_interpreted_kernels_equal_the_compiled_ones(interpreter, drive, moving):
    outputs, derivatives, joined = interpreter(drive, moving)
    expected, expected_derivatives = passes_of(ladder_cpu, drive, moving)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(joined, outputs, rtol=0, atol=1e-6)
    for one, other in zip(derivatives, expected_derivatives, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * float(other.abs().max()))


def test_the_gain_in_torch_is_the_compiled_one_and_so_is_its_adjoint():
    random = torch.Generator().manual_seed(0)
    phase, octaves = 1.6 * torch.rand(20, generator=random), 4 * torch.rand(20, generator=random) - 2
    envelope, g = torch.rand(2, 100, 20, generator=random)
    gain = compiled_gain(phase, octaves, envelope, 0.008, 1.4)
    torch.testing.assert_close(gain_in_torch(phase, octaves, envelope, 0.008, 1.4), gain, rtol=1e-6, atol=0)
    given = g, phase, octaves, envelope, gain, 0.008, 1.4
    for one, other in zip(adjoint_in_torch(*given), compiled_adjoint(*given), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def on_device(device, dtype, drive):
    """Return output and state, gradients, and a tangent, of 64 voices of 8,000 samples whose cutoff moves."""
    random = torch.Generator().manual_seed(0)
    x, envelope = torch.rand(2, 8000, 64, generator=random)
    given = [2 * x - 1, torch.linspace(200, 2000, 64), torch.linspace(0, 0.98, 64), torch.linspace(-1, 1, 64), envelope]
    state = 0.1 * torch.randn(4, 64, generator=random)
    given = [one.to(device, dtype).requires_grad_() for one in (*given, state)]
    weights = torch.randn(8000, 64, generator=random).to(device)

    def filtered(x, cutoff, resonance, *rest):
        return ladder(x, cutoff, resonance, FS, drive, *rest)

    y, last = filtered(*given)
    assert y.device.type == device and y.dtype == dtype
    gradients = torch.autograd.grad((y.float() * weights).sum() + last.sum(), given)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(one.detach(), one.detach().clone()) for one in given]
        tangents = [forward_ad.unpack_dual(one).tangent for one in filtered(*duals)]
    return [[one.detach().cpu().float() for one in found] for found in ((y, last), gradients, tangents)]


@needs_triton
@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("drive", [0.0, 0.5, 2.0])
def test_cuda_equals_the_cpu(drive, dtype):
    rounding = 1e-2 if dtype == torch.bfloat16 else 0.0  # of the results
    outputs, *derivatives = on_device("cuda", dtype, drive)
    expected, *expected_derivatives = on_device("cpu", dtype, drive)
    torch.testing.assert_close(outputs, expected, rtol=rounding, atol=1e-4)
    for found, of_cpu in zip(derivatives, expected_derivatives, strict=True):
        for one, other in zip(found, of_cpu, strict=True):
            torch.testing.assert_close(one, other, rtol=rounding, atol=1e-3 * float(other.abs().max()))
