"""Training, validation and prediction on a GPU never wait for it within a step.

A wait stops the queue of kernels and cannot be part of a CUDA graph. Each check runs twice: on CUDA, whose debug mode
refuses waits, and on the device meta, which has no values that a step could read, without a GPU.
"""

import contextlib

import pytest
import torch
from torch.overrides import TorchFunctionMode

from src.models.heads.multi_head import HEAD_KINDS
from src.models.losses import losses_taking
from tests.models.test_mps import HEADS, KINDS, MODELS, OPTIMIZERS, WRAPPERS, config_of, prepared

CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU; meta is checked instead")
)


class NoWaiting(TorchFunctionMode):
    """Refuses copies from the host's memory that wait for the device; on meta, reading a value fails by itself."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        copies = function in (torch.tensor, torch.as_tensor) or (
            function is torch.Tensor.to and args[0].device.type == "cpu" and not kwargs.get("non_blocking")
        )
        if copies and result.device.type == "meta":
            raise RuntimeError(f"{function.__name__} is a synchronizing operation")
        return result


class OnCUDA:
    """Refuses operations that wait for a CUDA GPU."""

    def __enter__(self):
        self.before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")

    def __exit__(self, *_):
        torch.cuda.set_sync_debug_mode(self.before)


@pytest.fixture(params=["meta", CUDA])
def device(request, monkeypatch):
    if request.param == "meta":  # which autocast does not know
        monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    return request.param


def check(config, device):
    """Assert that a gradient, a validation and a prediction of a model wait for a device nowhere."""
    model, batch, _, closure = prepared(config, device)
    with OnCUDA() if device == "cuda" else NoWaiting():
        closure()
        model.eval()
        with torch.no_grad():
            model.validation_step(batch, 0)
            model.predict(batch["image"], batch["scale"])


def check_updates(config, device):
    """Assert that an optimizer's updates wait for a device nowhere; they are the same for any network and heads."""
    *_, optimizer, closure = prepared(config, device)
    with OnCUDA() if device == "cuda" else NoWaiting():
        for _ in range(2):  # the first creates the optimizer's state
            optimizer.step(closure)


@pytest.mark.parametrize("name", MODELS)
def test_every_network(name, device):
    if name == "timm":
        pytest.importorskip("timm")
    check(config_of(f"model={name}"), device)


@pytest.mark.parametrize("auxiliary", ["concat", "film"])
def test_auxiliary_inputs(auxiliary, device):
    check(config_of(f"model.auxiliary={auxiliary}"), device)


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("balance", ["weights", "gradient", "uncertainty"])
def test_every_kind_of_head(heads, balance, device):
    if balance == "uncertainty" and heads in ("gaussian", "mixture", "evidential"):
        pytest.skip("these losses may be negative, so this balance refuses them")
    check(config_of(f"heads={heads}", f"model.balance={balance}"), device)


@pytest.mark.parametrize(
    ("kind", "loss"), [(kind, loss) for kind in KINDS for loss in losses_taking(HEAD_KINDS[kind].feeds)]
)
def test_every_loss_of_a_head(kind, loss, device):
    heads = {"default": {"kind": kind}, "level": {"kind": kind, "loss": loss}}
    check(config_of() | {"heads": heads}, device)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name, device):
    check_updates(config_of(f"optimizer={name}"), device)


@pytest.mark.parametrize("device", [CUDA])  # meta has no random state, which SAM restores
@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_of_an_optimizer(name, device):
    check_updates(config_of(f"+wrapper={name}"), device)


@pytest.mark.parametrize("wait", [lambda there: there.sum().item(), lambda there: there[there > 0],
                                  lambda there: torch.tensor([1.0], device=there.device)])  # fmt: skip
def test_a_wait_is_an_error(wait, device):
    there = torch.ones(3, device=device)
    with pytest.raises((RuntimeError, NotImplementedError)), OnCUDA() if device == "cuda" else NoWaiting():
        wait(there)
