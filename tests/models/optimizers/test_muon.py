"""Muon against its published rule in float64, torch's Muon and torch's AdamW."""

import numpy as np
import pytest
import torch
from torch import nn

from src.models.optimizers.muon import Muon, is_matrix, orthogonalise
from src.utils.errors import UserError


def model_of(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.GELU(), nn.Flatten(), nn.Linear(6 * 4, 5), nn.LayerNorm(5))


def train(model, optimizer, steps=4):
    """Take steps towards random targets; return the gradients of each step by name."""
    generator = torch.Generator().manual_seed(1)
    gradients = []
    for _ in range(steps):
        image, target = torch.randn(8, 2, 4, 4, generator=generator), torch.randn(8, 5, generator=generator)
        optimizer.zero_grad()
        (model(image) - target).square().mean().backward()
        gradients.append({name: one.grad.clone() for name, one in model.named_parameters()})
        optimizer.step()
    return gradients


def newton_schulz(matrix, iterations=5):
    """The iteration of Jordan's publication, in float64."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(iterations):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (16, 16), (3, 200)])
def test_orthogonalised_matrices_match_float64_and_keep_their_directions(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(matrix)
    np.testing.assert_allclose(found, newton_schulz(matrix.double().numpy()), atol=1e-4)
    u, s, vt = np.linalg.svd(matrix.double().numpy(), full_matrices=False)
    singular = np.diag(u.T @ found.double().numpy() @ vt.T)
    assert np.abs(u @ np.diag(singular) @ vt - found.numpy()).max() < 1e-4
    if s.min() > 0.1 * s.max():  # five iterations lift smaller values less
        assert singular.min() > 0.6 and singular.max() < 1.25  # the publication states about 0.7 to 1.2


def test_steps_of_matrices_and_kernels_match_float64():
    model = model_of()
    before = {name: value.detach().double().numpy() for name, value in model.named_parameters()}
    optimizer = Muon(model.parameters(), lr=0.02, momentum=0.9, weight_decay=0.1)
    gradients = train(model, optimizer)
    for name, weight in model.named_parameters():
        if not is_matrix(weight):
            continue
        w, momentum = before[name], np.zeros(weight.shape)
        for step in gradients:
            g = step[name].double().numpy()
            momentum = 0.9 * momentum + 0.1 * g
            direction = newton_schulz((0.1 * g + 0.9 * momentum).reshape(len(g), -1))
            w = w * (1 - 0.02 * 0.1) - 0.02 * 0.2 * max(direction.shape) ** 0.5 * direction.reshape(w.shape)
        np.testing.assert_allclose(weight.detach(), w, atol=1e-5)


def test_steps_of_matrices_match_torch():
    """torch computes the iteration in bfloat16, which has 8 bits, so each of four steps of 0.02 may differ by 2 %."""
    ours, theirs = (torch.nn.Linear(12, 7, bias=False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    options = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    optimizers = (
        Muon(ours.parameters(), **options),
        torch.optim.Muon(theirs.parameters(), adjust_lr_fn="match_rms_adamw", **options),
    )
    start = ours.weight.detach().clone()
    for step in range(4):
        gradient = torch.randn(7, 12, generator=torch.Generator().manual_seed(step))
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            model.weight.grad = gradient.clone()
            optimizer.step()
    moved = (ours.weight - start).abs().max()
    assert (ours.weight - theirs.weight).abs().max() < 0.02 * moved


def test_steps_of_other_weights_are_those_of_adamw():
    ours = nn.ParameterList(
        [nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.arange(4.0)), nn.Parameter(torch.ones(1, 3, 2))]
    )
    theirs = [weight.detach().clone().requires_grad_() for weight in list(ours)[1:]]
    optimizer = Muon(ours.parameters(), lr=0.01, weight_decay=0.1)
    reference = torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1)
    for step in range(5):
        generator = torch.Generator().manual_seed(step)
        gradients = [torch.randn(weight.shape, generator=generator) for weight in ours]
        for weight, gradient in zip([*ours, *theirs], [*gradients, *gradients[1:]], strict=True):
            weight.grad = gradient
        optimizer.step()
        reference.step()
    for weight, other in zip(list(ours)[1:], theirs, strict=True):
        torch.testing.assert_close(weight.detach(), other.detach(), atol=1e-6, rtol=1e-5)


def test_a_restored_state_continues_as_if_it_had_not_stopped():
    whole, stopped = model_of(), model_of()
    optimizer = Muon(whole.parameters(), lr=0.02)
    train(whole, optimizer)
    train(whole, optimizer)
    first = Muon(stopped.parameters(), lr=0.02)
    train(stopped, first)
    second = Muon(stopped.parameters(), lr=0.02)
    second.load_state_dict(first.state_dict())
    train(stopped, second)
    for one, other in zip(whole.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(one, other)


def test_weights_without_gradient_stay_and_the_closure_gives_the_loss():
    model = model_of()
    before = model[3].weight.detach().clone()
    optimizer = Muon(model.parameters(), lr=0.1, weight_decay=0.1)

    def closure():
        optimizer.zero_grad()
        loss = model[0](torch.ones(1, 2, 4, 4)).sum()
        loss.backward()
        return loss

    expected = closure().item()
    assert optimizer.step(closure).item() == pytest.approx(expected)
    assert closure().item() < expected  # the step went down
    assert torch.equal(model[3].weight, before) and not optimizer.state[model[3].weight]


@pytest.mark.parametrize(
    "given",
    [
        *({"momentum": 1.0}, {"betas": (0.9, 1.0)}, {"iterations": 0}),
        *({"lr": -0.1}, {"weight_decay": -0.1}, {"eps": -1e-8}, {"eps": 0.0}),
    ],
)
def test_values_out_of_range_are_refused(given):
    with pytest.raises(UserError, match=r"^model.optimizer"):
        Muon(model_of().parameters(), **{"lr": 0.1} | given)


def test_weights_without_a_matrix_are_refused():
    with pytest.raises(UserError, match="needs matrices"):
        Muon([nn.Parameter(torch.ones(100))], lr=0.1)
