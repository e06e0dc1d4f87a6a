"""Groups, and what is done around an optimizer's step, against the published update rules in numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from src.models.optimizers.centralization import gradient_centralization
from src.models.optimizers.groups import parameter_groups
from src.models.optimizers.lookahead import lookahead
from src.models.optimizers.sam import asam, sam
from src.utils.errors import UserError


class Bowl(nn.Module):
    """Loss 1/2 sum c w^2 + sum w^4 of a vector."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
        self.c = torch.tensor([1.0, 3.0, 10.0])

    def closure(self):
        self.w.grad = None
        loss = 0.5 * (self.c * self.w.square()).sum() + self.w.pow(4).sum()
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
        np.testing.assert_allclose(bowl.w.detach(), w, rtol=1e-4)


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
            slow = slow + 0.4 * (plain.w.detach().numpy() - slow)
            with torch.no_grad():
                plain.w.copy_(torch.from_numpy(slow).float())
        np.testing.assert_allclose(bowl.w.detach(), plain.w.detach(), rtol=1e-5)


def test_lookahead_goes_on_from_its_state():
    def run(steps, weights=None, state=None):
        bowl = Bowl()
        if weights is not None:
            bowl.w.data.copy_(weights)
        optimizer = torch.optim.Adam(bowl.parameters(), lr=0.05)
        lookahead(optimizer, bowl, every=3)
        if state:
            optimizer.load_state_dict(state)
        for _ in range(steps):
            optimizer.step(bowl.closure)
        return bowl.w.detach().clone(), optimizer.state_dict()

    whole, _ = run(8)
    half, state = run(4)
    resumed, _ = run(4, half, state)
    assert torch.equal(whole, resumed)


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


@pytest.mark.parametrize(
    ("multipliers", "words"), [({"netwrok.*": 0.5}, "'netwrok.*' matches no parameter"), ({"*": -1}, "-1 given")]
)
def test_patterns_that_make_no_sense_are_one_line(multipliers, words):
    with pytest.raises(UserError, match=words):
        parameter_groups(nn.Linear(2, 2), 0.1, multipliers)
