"""Learning rates against closed forms and torch's own schedules."""

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from src.models import schedules
from src.utils.errors import UserError


def sgd(lr=0.5):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(optimizer, scheduler, steps):
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


def followed(make, total, **options):
    optimizer = sgd()
    return rates(optimizer, make(optimizer, total_steps=total, **options), total)


@pytest.mark.parametrize(("total", "fraction", "warmup"), [(100, 0.1, 10), (37, 0.25, 9), (50, 0.0, 0)])
def test_cosine_matches_its_closed_form(total, fraction, warmup):
    steps = np.arange(total)
    falling = 0.2 + 0.8 * (1 + np.cos(np.pi * (steps - warmup) / (total - warmup))) / 2
    expected = 0.5 * np.where(steps < warmup, (steps + 1) / max(warmup, 1), falling)
    np.testing.assert_allclose(followed(schedules.cosine, total, warmup_fraction=fraction, end=0.2), expected)


def test_cosine_matches_torch():
    optimizer = sgd()
    theirs = rates(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 80), 80)
    np.testing.assert_allclose(followed(schedules.cosine, 80, warmup_fraction=0.0), theirs, atol=1e-12)


def test_restarts_match_torch():
    optimizer = sgd()
    theirs = rates(optimizer, lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10, T_mult=2), 70)
    ours = followed(schedules.cosine_restarts, 70, cycles=3, stretch=2.0, warmup_fraction=0.0)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("total", [7, 60, 101])
def test_one_cycle_matches_torch(total):
    optimizer = sgd()
    share, end = 0.3, 1 / 25 / 1e4
    cycle = lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=total, pct_start=share, div_factor=25)
    theirs = np.append(rates(optimizer, cycle, total - 1), optimizer.param_groups[0]["lr"])
    peak = (share * total - 1) / (total - 1)  # torch counts the peak from 1, and its steps from 0
    np.testing.assert_allclose(followed(schedules.one_cycle, total, peak=peak, end=end), theirs, rtol=1e-9)
    assert theirs[-1] == pytest.approx(0.5 * end)  # the last step has the end's rate


def test_exponential_matches_torch():
    optimizer = sgd()
    theirs = rates(optimizer, lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / 60)), 60)
    np.testing.assert_allclose(followed(schedules.exponential, 60, end=0.01, warmup_fraction=0.0), theirs, rtol=1e-9)


def test_constant_stays_after_its_warmup():
    np.testing.assert_allclose(followed(schedules.constant, 10, warmup_fraction=0.2), [0.25] + [0.5] * 9)


@pytest.mark.parametrize("name", ["constant", "cosine", "cosine_restarts", "exponential", "one_cycle"])
def test_by_epoch_the_rate_is_held_for_each(name):
    make = getattr(schedules, name)
    warmup = {} if name == "one_cycle" else {"warmup_fraction": 0.25}  # it has its own, from a 25th of the rate
    by_step = followed(make, 60, steps_per_epoch=6, **warmup).reshape(10, 6)
    by_epoch = followed(make, 60, steps_per_epoch=6, interval="epoch", **warmup).reshape(10, 6)
    expected = by_step[:, 0].copy()  # an epoch's rate is that of its first step
    if warmup:
        expected[:3] = [by_step[0, 5], by_step[1, 5], 0.5]  # in the 15 steps of warm-up that of its last: none is lost
    np.testing.assert_allclose(by_epoch, np.repeat(expected[:, None], 6, axis=1))


@pytest.mark.parametrize("name", ["constant", "cosine", "cosine_restarts", "exponential", "one_cycle", "Plateau"])
@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_runs_still_learn(name, total):
    found = followed(getattr(schedules, name), total)
    assert np.isfinite(found).all() and found[0] > 0 and found.max() <= 0.5


def test_plateau_lowers_as_torch_does_after_its_warmup():
    metrics = [5, 4, 3, 3, 3.1, 2.9, 2.9, 2.9, 2.9, 2.9, 1, 1, 1, 1, 1]
    theirs, ours = sgd(), sgd()
    reference = lr_scheduler.ReduceLROnPlateau(theirs, factor=0.5, patience=2, threshold=1e-4)
    plateau = schedules.Plateau(ours, total_steps=100, factor=0.5, patience=2, warmup_fraction=0.01)
    for metric in metrics:
        plateau.observe(metric)
        plateau.step()
        reference.step(metric)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
    assert ours.param_groups[0]["lr"] < 0.2


def test_plateau_goes_on_where_its_state_says():
    def made():
        return schedules.Plateau(sgd(), total_steps=100, patience=0, warmup_fraction=0.01)

    first = made()
    for metric in (2.0, 3.0, 3.0):
        first.observe(metric)
        first.step()
    second = made()
    second.load_state_dict(first.state_dict())
    second.step()
    first.step()
    assert second.get_last_lr() == first.get_last_lr() == [0.125]
    assert (second.best, second.bad_epochs) == (2.0, 0)


def test_plateau_drops_the_best_of_another_metric():
    first = schedules.Plateau(sgd(), total_steps=100)
    for metric in (2.0, 3.0):
        first.observe(metric)
    for monitor, expected in (("val/nmae", (2.0, 1)), ("val/loss", (np.inf, 0))):
        second = schedules.Plateau(sgd(), total_steps=100, monitor=monitor)
        second.load_state_dict(first.state_dict())
        assert (second.best, second.bad_epochs, second.monitor) == (*expected, monitor)


def test_plateau_goes_on_with_the_values_it_is_given_and_warms_up_once():
    def made(warmup_fraction, **options):
        return schedules.Plateau(sgd(), total_steps=100, warmup_fraction=warmup_fraction, **options)

    first = made(0.02)
    for _ in range(2):
        first.step()
    given = {"factor": 0.1, "patience": 1, "threshold": 0.01, "least": 0.2}
    second, early = made(0.5, **given), made(0.5, **given)
    early.load_state_dict(made(0.02).state_dict())
    second.load_state_dict(first.state_dict())
    assert {name: getattr(second, name) for name in given} == given
    assert second.warmup == 2 and early.warmup == 50
    second.step()
    assert second.get_last_lr() == [0.5]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("cosine", {"end": 2}, "model.scheduler.end: 2 given"),
        ("cosine", {"warmup_fraction": 1.0}, "warmup_fraction: 1.0 given"),
        ("cosine", {"interval": "batch"}, "'batch' given; give step or epoch"),
        ("cosine_restarts", {"cycles": 0}, "cycles 0, stretch 2.0 given"),
        ("exponential", {"end": 0}, "never reaches 0"),
        ("one_cycle", {"peak": 0}, "model.scheduler.peak: 0 given"),
        ("Plateau", {"factor": 1.5}, "factor 1.5"),
        ("Plateau", {"warmup_fraction": 1.5}, "warmup_fraction: 1.5 given"),
    ],
)
def test_what_makes_no_sense_is_one_line(name, options, words):
    with pytest.raises(UserError, match=words):
        getattr(schedules, name)(sgd(), total_steps=10, **options)
