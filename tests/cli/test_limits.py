"""Numbers of a trainer with which Lightning fails late, or that leave nothing to do."""

import pytest

from src.cli.limits import is_tested, require_limits
from src.utils.errors import UserError


@pytest.mark.parametrize("key", ["accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval"])
@pytest.mark.parametrize("value", [0, -1])
def test_what_lightning_would_divide_by_is_at_least_1(key, value):
    with pytest.raises(UserError, match=rf"^trainer\.{key}: {value} given; give at least 1$"):
        require_limits({key: value})


def test_a_negative_norm_would_turn_the_gradient_round():
    with pytest.raises(UserError, match=r"^trainer\.gradient_clip_val: -1 given; give a norm above 0"):
        require_limits({"gradient_clip_val": -1})


@pytest.mark.parametrize(
    "trainer",
    [
        {},
        {"val_check_interval": 0.25, "check_val_every_n_epoch": None, "accumulate_grad_batches": 4},
        {"val_check_interval": 0.0},  # Lightning: after each batch
        {"max_epochs": -1, "max_steps": 3, "max_time": "00:00:05:00", "limit_train_batches": 0.5},
        {"gradient_clip_val": 0, "max_time": {"minutes": 3}, "max_epochs": None},
    ],
)
def test_numbers_that_make_sense_pass_without_a_word(trainer, caplog):
    require_limits(trainer)
    assert not caplog.records


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_epochs", 0), ("max_steps", 0), ("limit_train_batches", 0.0), ("max_time", "00:00:00:00")],
)
def test_a_run_that_trains_nothing_says_so(key, value, caplog):
    require_limits({key: value})
    assert f"trainer.{key}: {value} given, so nothing is trained" in caplog.text


@pytest.mark.parametrize(("limit", "tested"), [(0, False), (0.0, False), (1, True), (0.1, True), (None, True)])
def test_a_test_needs_a_batch(limit, tested):
    assert is_tested({"limit_test_batches": limit}) == tested
    assert is_tested({})
