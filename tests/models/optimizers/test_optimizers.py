"""Groups, and what is done around an optimizer's step, against the published update rules in numpy."""

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from src.models.optimizers.centralization import gradient_centralization
from src.models.optimizers.groups import layer_weights, parameter_groups
from src.models.optimizers.lookahead import lookahead
from src.models.optimizers.sam import asam, sam
from src.utils.errors import UserError
from tests import running


class Bowl(nn.Module):
    """Loss 1/2 sum c w^2 + sum w^4 of a vector."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
        self.c = torch.tensor([1.0, 3.0, 10.0])

    def closure(self):
        self.weight.grad = None
        loss = 0.5 * (self.c * self.weight.square()).sum() + self.weight.pow(4).sum()
        loss.backward()
        return loss


def gradient(w):
    return np.array([1.0, 3.0, 10.0]) * w + 4 * w**3


def start():
    return np.array([1.0, -2.0, 0.5])


@pytest.mark.parametrize(("wrap", "scale"), [(sam, lambda w: 1 + 0 * w), (asam, lambda w: np.abs(w) + 0.01)])
def test_sharpness_aware_steps_match_numpy(wrap, scale):
    bowl = Bowl()
    optimizer = torch.optim.SGD(bowl.parameters(), lr=0.01, momentum=0.9)
    wrap(optimizer, bowl, rho=0.2)
    w, momentum = start(), np.zeros(3)
    for _ in range(5):
        loss = optimizer.step(bowl.closure)
        assert loss.item() == pytest.approx((0.5 * np.array([1, 3, 10]) * w**2 + w**4).sum(), rel=1e-5)
        g, t = gradient(w), scale(w)
        climbed = w + 0.2 * t**2 * g / np.linalg.norm(t * g)
        momentum = 0.9 * momentum + gradient(climbed)
        w = w - 0.01 * momentum
        np.testing.assert_allclose(bowl.weight.detach(), w, rtol=1e-4)


def test_the_second_pass_drops_the_same_and_leaves_batch_norm_and_random_numbers_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sam(optimizer, model)
    given, seen = torch.randn(8, 4), []

    def closure():
        optimizer.zero_grad()
        out = model(given)
        seen.append(((out == 0).detach().clone(), model.second_pass))
        loss = out.square().mean()
        loss.backward()
        return loss

    model.second_pass = False
    optimizer.step(closure)
    (first, again) = seen
    assert torch.equal(first[0], again[0]) and not first[1] and again[1] and not model.second_pass
    assert model[1].num_batches_tracked == 1
    torch.manual_seed(0)
    alone = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    torch.randn(8, 4)
    alone(given)
    torch.testing.assert_close(model[1].running_mean, alone[1].running_mean)
    torch.testing.assert_close(model[1].running_var, alone[1].running_var)


@pytest.mark.parametrize("with_closure", [True, False])
def test_centralised_gradients_have_no_mean_over_inputs(with_closure):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3 * 4, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = [one.detach().clone() for one in model.parameters()]

    def closure():
        optimizer.zero_grad()
        loss = model(torch.randn(4, 2, 4, 4)).square().mean()
        loss.backward()
        return loss

    gradient_centralization(optimizer, model)
    if with_closure:
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()
    for old, new in zip(before, model.parameters(), strict=True):
        moved = (new.detach() - old).flatten(1) if new.ndim > 1 else None
        if moved is not None:
            torch.testing.assert_close(moved.mean(dim=1), torch.zeros(len(moved)), atol=1e-6, rtol=0)
            assert moved.abs().max() > 1e-3


def test_lookahead_matches_numpy_with_adam():
    bowl, plain = Bowl(), Bowl()
    optimizer, reference = (torch.optim.Adam(one.parameters(), lr=0.05) for one in (bowl, plain))
    lookahead(optimizer, bowl, every=3, rate=0.4)
    slow = start()
    for step in range(1, 10):
        optimizer.step(bowl.closure)
        reference.step(plain.closure)
        if step % 3 == 0:
            slow = slow + 0.4 * (plain.weight.detach().numpy() - slow)
            with torch.no_grad():
                plain.weight.copy_(torch.from_numpy(slow).float())
        np.testing.assert_allclose(bowl.weight.detach(), plain.weight.detach(), rtol=1e-5)


def test_lookahead_goes_on_from_its_state():
    def run(steps, weights=None, state=None):
        bowl = Bowl()
        if weights is not None:
            bowl.weight.data.copy_(weights)
        optimizer = torch.optim.Adam(bowl.parameters(), lr=0.05)
        lookahead(optimizer, bowl, every=3)
        if state:
            optimizer.load_state_dict(state)
        for _ in range(steps):
            optimizer.step(bowl.closure)
        return bowl.weight.detach().clone(), optimizer.state_dict()

    whole, _ = run(8)
    half, state = run(4)
    resumed, _ = run(4, half, state)
    assert torch.equal(whole, resumed)


class Slopes(LightningModule):
    """Loss: mean over the batch x (B, 3) of 1/2 |W x|^2 + sum W^4, W (2, 3), stepped by SGD with momentum."""

    def __init__(self, *wrappers):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(WEIGHTS, dtype=torch.float32))
        self.wrappers = wrappers
        self.second_pass = False
        self.seen = []

    def training_step(self, batch, batch_idx):
        out = nn.functional.linear(batch, self.weight)
        self.seen.append((self.second_pass, out.dtype))
        return 0.5 * out.float().square().sum(dim=1).mean() + self.weight.pow(4).sum()

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
        for wrap in self.wrappers:
            wrap(optimizer, self)
        return optimizer

    def fit(self, data, **options):
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet, **options)
        trainer.fit(self, DataLoader(data, batch_size=4))
        return self.weight.detach().double().numpy()


WEIGHTS = np.array([[1.0, -0.6, 0.5], [0.3, 0.8, -0.9]])
CLIP, RHO = 0.7, 0.1


def slopes_gradient(w, batch):
    return w @ batch.T @ batch / len(batch) + 4 * w**3


def clipped(gradient):
    return gradient * min(1.0, CLIP / np.linalg.norm(gradient))


def centred(gradient):
    return gradient - gradient.mean(axis=1, keepdims=True)


def climbing(gradient):
    def at(w, batch):
        first = gradient(w, batch)
        return gradient(w + RHO * first / np.linalg.norm(first), batch)

    return at


def climbing_by_size(gradient):
    def at(w, batch):
        first, sizes = gradient(w, batch), np.abs(w) + 0.01
        return gradient(w + RHO * sizes**2 * first / np.linalg.norm(sizes * first), batch)

    return at


def centring(gradient):
    return lambda w, batch: centred(gradient(w, batch))


@pytest.mark.parametrize(
    ("wrappers", "changes"),
    [
        ([lambda *given: sam(*given, rho=RHO)], [climbing]),
        ([lambda *given: asam(*given, rho=RHO)], [climbing_by_size]),
        ([gradient_centralization], [centring]),
        ([lambda *given: sam(*given, rho=RHO), gradient_centralization], [climbing, centring]),
        ([gradient_centralization, lambda *given: sam(*given, rho=RHO)], [centring, climbing]),
    ],
    ids=["sam", "asam", "centralization", "sam then centralization", "centralization then sam"],
)
@pytest.mark.parametrize("ahead", [0, 2])
def test_with_clipping_all_match_a_float64_loop(wrappers, changes, ahead):
    """Lightning clips what each pass leaves: the gradient that is stepped by is never longer than asked for."""
    torch.manual_seed(0)
    data = 3 * torch.randn(28, 3)
    slow = [lambda *given: lookahead(*given, every=ahead, rate=0.4)] if ahead else []
    found = Slopes(*wrappers, *slow).fit(data, gradient_clip_val=CLIP)

    def gradient(w, batch):
        return clipped(slopes_gradient(w, batch))

    for change in changes:
        gradient = change(gradient)
    w, slow_weights, momentum = WEIGHTS, WEIGHTS, np.zeros((2, 3))
    for step, batch in enumerate(np.split(data.double().numpy(), 7), start=1):
        momentum = 0.9 * momentum + gradient(w, batch)
        w = w - 0.05 * momentum
        if ahead and step % ahead == 0:
            w = slow_weights = slow_weights + 0.4 * (w - slow_weights)
    np.testing.assert_allclose(found, w, rtol=1e-4, atol=1e-6)


def test_both_passes_run_in_bf16_and_the_weights_stay_float32():
    torch.manual_seed(0)
    data = torch.randn(16, 3)
    model, plain = Slopes(sam), Slopes(sam)
    found, exact = model.fit(data, precision="bf16-mixed"), plain.fit(data)
    assert model.seen == [(False, torch.bfloat16), (True, torch.bfloat16)] * 4
    assert plain.seen == [(False, torch.float32), (True, torch.float32)] * 4
    assert model.weight.dtype == torch.float32 and not np.array_equal(found, exact)
    np.testing.assert_allclose(found, exact, rtol=0.02, atol=0.005)


@pytest.mark.parametrize("wrap", [sam, asam])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plugins": [MixedPrecision("16-mixed", "cpu")]}, "trainer.precision=16-mixed scales"),
        ({"accumulate_grad_batches": 2}, "the second pass has one"),
        ({"callbacks": [GradientAccumulationScheduler({3: 2})]}, "the second pass has one"),
    ],
    ids=["16-mixed", "accumulation", "schedule"],
)
def test_a_second_pass_that_could_not_be_right_is_refused(wrap, options, words):
    model = Slopes(wrap)
    with pytest.raises(UserError, match=f"^model.wrappers: SAM and ASAM need two passes per step; .*{words}"):
        model.fit(torch.randn(8, 3), **options)
    assert not model.seen


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["wrapper=sam", "trainer.precision=16-mixed"], "trainer.precision=16-mixed scales the loss of"),
        (["wrapper=[lookahead,asam]", "+trainer.accumulate_grad_batches=2"], "raise data.batch_size"),
        (["wrapper=sam", "callbacks=[default,gradient_accumulation]"], "raise data.batch_size"),
        (["wrapper=sam", "model.wrappers.sam.rho=0"], "rho 0 given"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_that_asks_for_such_a_pass_is_one_line(data_root, saw, tmp_path, caplog, given, words):
    message = running.fault(caplog, "train", data_root, tmp_path, *given)
    assert message.startswith("model.wrappers: ") and words in message


@pytest.mark.parametrize("wrap", [gradient_centralization, lookahead])
def test_the_others_are_right_with_scaled_losses(wrap):
    """A scaler passes no closure; the gradients it hands on are those of the loss itself."""
    torch.manual_seed(0)
    data = torch.randn(32, 3)
    exact = Slopes(wrap).fit(data)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)  # so little that nothing overflows, and no step is skipped
    found = Slopes(wrap).fit(data, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    np.testing.assert_allclose(found, exact, rtol=0.01, atol=0.002)


def _one_of_two(rank, init, wrappers, data, directory):
    torch.distributed.init_process_group("gloo", init_method=init, rank=rank, world_size=2)
    model = Slopes()
    shared = DistributedDataParallel(_Loss(model))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for wrap in wrappers:
        wrap(optimizer, model)
    for batch in data.split(4):

        def closure(batch=batch):
            optimizer.zero_grad()
            loss = shared(batch[rank::2])
            loss.backward()
            return loss

        optimizer.step(closure)
    np.save(directory / f"{rank}.npy", model.weight.detach().double().numpy())
    torch.distributed.destroy_process_group()


class _Loss(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return self.model.training_step(batch, 0)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [sam, asam])
def test_two_processes_climb_by_the_gradient_of_the_whole_batch(tmp_path, wrap):
    torch.manual_seed(0)
    data, wrappers = torch.randn(28, 3), [gradient_centralization, wrap, lookahead]
    given = (f"file://{tmp_path / 'init'}", wrappers, data, tmp_path)
    torch.multiprocessing.spawn(_one_of_two, args=given, nprocs=2)
    alone = Slopes(*wrappers).fit(data)
    for rank in range(2):
        np.testing.assert_allclose(np.load(tmp_path / f"{rank}.npy"), alone, rtol=1e-5, atol=1e-6)


def test_vectors_do_not_decay_and_patterns_set_rates():
    model = nn.ModuleDict({"network": nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)), "heads": nn.Linear(3, 1)})
    groups = parameter_groups(model, 0.1, {"network.*": 0.5, "network.0.bias": 0.0})
    of = {id(one): group for group in groups for one in group["params"]}
    found = {
        name: (of[id(one)].get("lr", 0.1), of[id(one)].get("weight_decay")) for name, one in model.named_parameters()
    }
    assert found == {
        "network.0.weight": (0.05, None),
        "network.0.bias": (0.0, 0.0),
        "network.1.weight": (0.05, 0.0),
        "network.1.bias": (0.05, 0.0),
        "heads.weight": (0.1, None),
        "heads.bias": (0.1, 0.0),
    }
    assert sum(len(group["params"]) for group in groups) == 6


def test_fsdp_which_makes_vectors_of_all_parameters_changes_no_group():
    model = nn.ModuleDict({"network": nn.Sequential(nn.Conv2d(1, 2, 3), nn.LayerNorm(3)), "heads": nn.Linear(3, 1)})

    def groups():
        found = parameter_groups(model, 0.1, {"network.*": 0.5}, decaying)
        names = {id(one): name for name, one in model.named_parameters()}
        return [group | {"params": [names[id(one)] for one in group["params"]]} for group in found]

    decaying = layer_weights(model)
    assert decaying == {"network.0.weight", "heads.weight"}
    whole = groups()
    for module in model.modules():
        for name, one in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(one.detach().flatten()))
    assert groups() == whole and len(whole) == 4


@pytest.mark.parametrize(
    ("multipliers", "words"), [({"netwrok.*": 0.5}, "'netwrok.*' matches no parameter"), ({"*": -1}, "-1 given")]
)
def test_patterns_that_make_no_sense_are_one_line(multipliers, words):
    with pytest.raises(UserError, match=words):
        parameter_groups(nn.Linear(2, 2), 0.1, multipliers)
