"""Scalars beside the image: what concat appends and what film does to features, in float64 numpy."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from src.models.components.auxiliary import AuxiliaryInputs
from src.utils.errors import UserError


def made(join, seed=0):
    torch.manual_seed(seed)
    return AuxiliaryInputs(2, 5, join)


def inputs(rows=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, 5, generator=generator), 2 * torch.rand(rows, 2, generator=generator) - 1


def mlp_of(module, scalars):
    """Return the MLP's outputs by its definition: a product, GELU by erf, a product."""
    weights = {name: value.double().numpy() for name, value in module.mlp.state_dict().items()}
    hidden = scalars.double().numpy() @ weights["0.weight"].T + weights["0.bias"]
    hidden = 0.5 * hidden * (1 + erf(hidden / np.sqrt(2)))
    return hidden @ weights["2.weight"].T + weights["2.bias"]


def test_concat_appends_the_scalars_mlp_to_the_features():
    module = made("concat")
    features, scalars = inputs()
    joined = module(features, scalars)
    assert joined.shape == (7, module.feature_dim) and module.feature_dim > 5
    assert torch.equal(joined[:, :5], features)
    np.testing.assert_allclose(joined[:, 5:].detach(), mlp_of(module, scalars), atol=1e-6)
    assert joined[:, 5:].std(dim=0).all()


def test_film_starts_as_the_identity():
    module = made("film")
    features, scalars = inputs()
    assert module.feature_dim == 5 and torch.equal(module(features, scalars), features)


def test_film_scales_and_shifts_each_feature():
    module = made("film")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    features, scalars = inputs()
    out = mlp_of(module, scalars)
    expected = features.double().numpy() * (1 + out[:, :5]) + out[:, 5:]
    np.testing.assert_allclose(module(features, scalars).detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("join", ["concat", "film"])
def test_training_moves_the_last_layer_at_once_and_then_all(join):
    """Film's last layer starts at zero, so that the first one learns from the second step on."""
    module = made(join)
    for _ in range(2):
        features, scalars = inputs()
        grown = module(features, scalars).square().sum()
        module.zero_grad()
        grown.backward()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= 0.01 * parameter.grad
    for name, parameter in module.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.any(), name


@pytest.mark.parametrize("join", [True, "add", "Film"])
def test_another_join_is_one_line(join):
    with pytest.raises(UserError, match=rf"^model.auxiliary: {join!r} given; give concat, film, or null for none$"):
        made(join)
