"""Values of a config: what must be a mapping or a switch, what leaves nothing to train, and the older rate."""

import pytest
from omegaconf import OmegaConf

from src.cli.values import is_tested, rename_rate, require_limits, require_mappings, require_switches
from src.utils.errors import UserError
from tests import running


def config_with(key, value):
    config = OmegaConf.create({"trainer": {"max_epochs": 3}, "callbacks": {"ema": {"decay": 0.9}}, "logger": None})
    OmegaConf.update(config, key, value, force_add=True)
    return config


@pytest.mark.parametrize("key", ["callbacks.ema", "data.recipe", "model.heads.default", "model.heads"])
def test_null_and_mappings_pass(key):
    require_mappings(config_with(key, None))
    require_mappings(config_with(key, {"a": {"b": 1}}))


@pytest.mark.parametrize(
    "key", ["trainer", "callbacks", "callbacks.ema", "logger.csv", "data.recipe.synth", "model.heads"]
)
@pytest.mark.parametrize("value", [3, "abc", True])
def test_anything_else_is_one_line_with_its_key(key, value):
    with pytest.raises(UserError, match=f"^{key}: {value!r} given; give a mapping"):
        require_mappings(config_with(key, value))


@pytest.mark.parametrize("key", ["test", "preflight.allow_blind"])
def test_a_switch_is_true_or_false(key):
    for value in (True, False):
        require_switches(config_with(key, value))
    for value, shown in (("no", "'no'"), (0, "0"), (None, "null"), ([], "[[][]]")):
        with pytest.raises(UserError, match=f"^{key}: {shown} given; give true or false"):
            require_switches(config_with(key, value))


def test_a_config_without_switches_passes():
    require_switches(OmegaConf.create({"seed": 3}))


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


def config_of(older, lr, resume=None):
    optimizer = {"_target_": "torch.optim.AdamW", **({} if lr is None else {"lr": lr})}
    config = OmegaConf.create({"model": {"adam_lr": older, "optimizer": optimizer}, "resume": resume})
    OmegaConf.set_struct(config, True)
    return config


@pytest.mark.parametrize("resume", [None, "a run"])
def test_an_optimizer_that_refers_to_the_older_name_gets_its_value(resume):
    config = config_of(0.003, "${model.adam_lr}", resume)
    rename_rate(config)
    assert config.model.optimizer.lr == 0.003 and "adam_lr" not in config.model


def test_a_resumed_run_keeps_the_rate_that_it_was_given_beside_the_older_name():
    config = config_of(0.008, 0.002, "a run")
    rename_rate(config)
    assert config.model.optimizer.lr == 0.002 and "adam_lr" not in config.model


@pytest.mark.parametrize("lr", [0.008, None])
def test_a_value_that_would_have_no_effect_is_refused(lr):
    with pytest.raises(UserError, match=r"^model.adam_lr: 0.003 given; the learning rate is model.optimizer.lr, so "):
        rename_rate(config_of(0.003, lr))


@pytest.mark.long
def test_every_network_and_optimizer_has_a_rate_under_the_one_name():
    choices = [(f"model={path.stem}",) for path in (running.CONFIGS / "model").glob("*.yaml")]
    for choice in [*choices, ("optimizer=adam",), ("optimizer=sgd",), ("model=vit_tiny", "optimizer=sgd")]:
        model = running.composed("train", *choice).model
        least, most = (0.1, 0.1) if "optimizer=sgd" in choice else (0.001, 0.01)
        assert least <= model.optimizer.lr <= most and "adam_lr" not in model
    assert running.composed("train", "model=vit_tiny").model.optimizer.lr == 0.005
