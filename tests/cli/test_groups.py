"""What must be a mapping, and is none."""

import pytest
from omegaconf import OmegaConf

from src.cli.groups import require_mappings, require_switches
from src.utils.errors import UserError


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
