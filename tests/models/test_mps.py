"""Training, validation and prediction use only what MPS has, and wait for the device nowhere within a step."""

import functools

import pytest
import torch

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.models.heads.multi_head import HEAD_KINDS
from src.models.losses import Loss, create_loss_function, losses_taking
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests import running
from tests.models.mps import OnMPS, has_kernel

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=-2, max=6, step=0.5),
        ParameterSpec(name="cutoff", min=50, max=5000, num_classes=9, scale="log"),
        ParameterSpec(name="wave", values=["saw", "square", "sine"]),
    ]
)
SPEC = DatasetSpec("t", Inputs((2, 32, 32)), SPACE)
MODELS = sorted(path.stem for path in (running.CONFIGS / "model").glob("*.yaml") if path.stem != "base")
HEADS = sorted(path.stem for path in (running.CONFIGS / "heads").glob("*.yaml"))
OPTIMIZERS = sorted(path.stem for path in (running.CONFIGS / "optimizer").glob("*.yaml"))
WRAPPERS = sorted(path.stem for path in (running.CONFIGS / "wrapper").glob("*.yaml"))
KINDS = [kind for kind in HEAD_KINDS if kind != "categorical"]  # whose losses are those of a classification
WAVEFORMS = sorted(name for name, loss in Loss.registry.items() if loss.takes == ("waveform",))
# of an optimizer's own counters, which are on the CPU whatever the device
COUNTERS = {"_local_scalar_dense", "item"}


def batch_of(count=8):
    torch.manual_seed(1)
    return {
        "image": torch.rand(count, 2, 32, 32),
        "target": torch.rand(count, 3),
        "scale": torch.rand(count, 2) * 40 - 60,
    }


@functools.cache
def config_of(*overrides):
    return running.plain("train", "model", *overrides)


def prepared(config, device="cpu"):
    """Return a model, a batch, an optimizer with its wrappers, and the closure of its step."""
    model = build_model(config, SPEC).to(device)
    batch = {name: value.to(device) for name, value in batch_of().items()}
    optimizer = model.make_optimizer()
    for wrap in model._wrappers.values():
        wrap(optimizer, model)

    def closure():
        optimizer.zero_grad()
        loss = model.training_step(batch, 0)
        loss.backward()
        return loss

    return model, batch, optimizer, closure


def check(config):
    """Assert that one step, a validation and a prediction of a model need nothing that MPS lacks."""
    model, batch, optimizer, closure = prepared(config)
    with OnMPS() as step:
        closure()
    assert (step.faults, step.waits) == (set(), set())
    with OnMPS() as update:
        optimizer.step(closure)
    assert (update.faults, update.waits - COUNTERS) == (set(), set())
    with OnMPS() as rest, torch.no_grad():
        model.eval()
        model.validation_step(batch, 0)
        model.predict(batch["image"], batch["scale"])
    assert (rest.faults, rest.waits) == (set(), set())


@pytest.mark.parametrize("name", MODELS)
def test_every_network(name):
    if name == "timm":
        pytest.importorskip("timm")
    check(config_of(f"model={name}"))


@pytest.mark.parametrize("auxiliary", ["concat", "film"])
def test_auxiliary_inputs(auxiliary):
    check(config_of(f"model.auxiliary={auxiliary}"))


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("balance", ["weights", "gradient", "uncertainty"])
def test_every_kind_of_head(heads, balance):
    if balance == "uncertainty" and heads in ("gaussian", "mixture", "evidential"):
        pytest.skip("these losses may be negative, so this balance refuses them")
    check(config_of(f"heads={heads}", f"model.balance={balance}"))


@pytest.mark.parametrize(
    ("kind", "loss"), [(kind, loss) for kind in KINDS for loss in losses_taking(HEAD_KINDS[kind].feeds)]
)
def test_every_loss_of_a_head(kind, loss):
    heads = {"default": {"kind": kind}, "level": {"kind": kind, "loss": loss}}
    check(config_of() | {"heads": heads})


@pytest.mark.parametrize("name", WAVEFORMS)
def test_every_loss_of_sounds(name):
    arguments = {"pre_emphasis": {"loss": "esr"}, "mel_spectral": {"sample_rate": 8000}}
    arguments["f0_centroid"] = arguments["mel_spectral"]
    loss = create_loss_function({"_target_": name, **arguments.get(name, {})})
    audio = torch.randn(2, 3000, generator=torch.Generator().manual_seed(0))
    with OnMPS() as mode:
        predicted = (0.5 * audio).requires_grad_()
        loss(predicted, audio).backward()
    assert (mode.faults, mode.waits) == (set(), set())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    check(config_of(f"optimizer={name}"))


@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_of_an_optimizer(name):
    check(config_of(f"+wrapper={name}"))


def test_what_mps_lacks_is_found():
    assert has_kernel("add.Tensor") and has_kernel("convolution_backward") and has_kernel("_foreach_norm.Scalar")
    assert not has_kernel("linalg_eig") and not has_kernel("no_such_operator")
    with OnMPS() as mode:
        torch.linalg.eigh(torch.eye(3, dtype=torch.float64))
        torch.ones(3).nonzero()
    assert any("float64" in fault for fault in mode.faults) and any("nonzero" in name for name in mode.waits)
