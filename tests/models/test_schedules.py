"""Learning rates against their closed form."""

import numpy as np
import pytest
import torch

from src.models.schedules import warmup_cosine


def rates(total_steps, warmup_fraction, lr=0.5):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = warmup_cosine(optimizer, total_steps, warmup_fraction)
    found = []
    for _ in range(total_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found), optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(("total", "fraction", "warmup"), [(100, 0.1, 10), (37, 0.25, 9), (50, 0.0, 1)])
def test_warmup_cosine_matches_its_closed_form(total, fraction, warmup):
    steps = np.arange(total)
    falling = (1 + np.cos(np.pi * (steps - warmup) / (total - warmup))) / 2
    expected = 0.5 * np.where(steps < warmup, (steps + 1) / warmup, falling)
    found, last = rates(total, fraction)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert last == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("total", [1, 2])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 1.0])
def test_the_shortest_runs_still_learn(total, fraction):
    found, _ = rates(total, fraction)
    assert np.isfinite(found).all() and found[0] > 0


def test_the_peak_is_the_configured_rate_and_nothing_exceeds_it():
    found, _ = rates(1000, 0.1)
    assert found.max() == 0.5
    assert np.argmax(found) in (99, 100)
