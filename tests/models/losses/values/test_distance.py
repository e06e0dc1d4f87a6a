"""Distances of constants by hand, and of noise by numpy."""

import math

import numpy as np
import pytest
import torch

from src.models.losses.values.distance import DistanceLoss, HuberLoss, LogCoshLoss


@pytest.mark.parametrize("shape", [(2,), (2, 5), (2, 3, 5)])
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (DistanceLoss(reduction="none"), 0.5),
        (DistanceLoss(p=2, reduction="none"), 0.25),
        (DistanceLoss(p=3, reduction="none"), 0.125),
        (LogCoshLoss(reduction="none"), math.log(math.cosh(0.5))),
        (HuberLoss(1.0, reduction="none"), 0.125),
        (HuberLoss(0.1, reduction="none"), 0.1 * (0.5 - 0.05)),
    ],
)
def test_distance_of_constants(loss, expected, shape):
    found = loss(torch.full(shape, 1.25), torch.full(shape, 0.75))
    torch.testing.assert_close(found, torch.full((2,), expected))


def test_log_cosh_matches_numpy_in_float64_from_tiny_to_huge():
    error = torch.tensor([1e-3, 0.1, 1.0, 10.0, 1e4, 1e30])
    expected = np.logaddexp(error.double(), -error.double()) - np.log(2)
    found = LogCoshLoss(reduction="none")(error, torch.zeros(6))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-10)


def test_log_cosh_has_the_hyperbolic_tangent_as_its_gradient():
    error = torch.tensor([-1e4, -2.0, -0.1, 0.0, 0.3, 5.0], requires_grad=True)
    LogCoshLoss(reduction="sum")(error, torch.zeros(6)).backward()
    torch.testing.assert_close(error.grad, torch.tanh(error.detach()))


@pytest.mark.parametrize(
    ("make", "message"), [(lambda: DistanceLoss(0.5), "p: 0.5"), (lambda: HuberLoss(0), "delta: 0")]
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
