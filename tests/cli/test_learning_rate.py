"""The learning rate is model.optimizer.lr; configs that refer to the older name still train with its value."""

import pytest
from omegaconf import OmegaConf

from src.cli.learning_rate import rename_rate
from src.utils.errors import UserError
from tests import running


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


def test_every_network_and_optimizer_has_a_rate_under_the_one_name():
    choices = [(f"model={path.stem}",) for path in (running.CONFIGS / "model").glob("*.yaml")]
    for choice in [*choices, ("optimizer=adam",), ("optimizer=sgd",), ("model=vit_tiny", "optimizer=sgd")]:
        model = running.composed("train", *choice).model
        least, most = (0.1, 0.1) if "optimizer=sgd" in choice else (0.001, 0.01)
        assert least <= model.optimizer.lr <= most and "adam_lr" not in model
    assert running.composed("train", "model=vit_tiny").model.optimizer.lr == 0.005
