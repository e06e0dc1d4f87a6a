"""Faults of a config that signatures tell, and what must not be taken for one."""

from datetime import timedelta
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from src.cli.signatures import require_valid_arguments, signature_faults
from src.utils.errors import UserError

HERE = f"{__name__}.made"


def made(
    count: int = 1,
    rate: float = 0.1,
    name: str | None = None,
    on: bool = False,
    path: Path | None = None,
    device: int | str | list[int] = "auto",
    limit: str | timedelta | None = None,
    anything=None,
    options: DictConfig | None = None,
) -> None:
    """Stand for a class of a library: only its signature is looked at."""


def open_ended(rate: float = 0.1, **more: object) -> None:
    """Take what nobody can check."""


@pytest.mark.parametrize(
    "given",
    [
        {"count": 3, "rate": 1, "name": "a", "on": True, "path": "data", "device": "auto", "limit": "00:01:00:00"},
        {"count": -1, "rate": 1e-3, "name": None, "on": False, "path": None, "device": 2, "anything": "three"},
        {"options": {"a": 1}},  # Hydra makes it a DictConfig
        {"device": [0, 1], "anything": {"a": [None]}, "_partial_": True},
        {"rate": {"_target_": "builtins.float"}, "device": [{"_target_": "builtins.int"}]},  # built before it is used
    ],
)
def test_values_that_suit_are_no_faults(given):
    assert list(signature_faults({"_target_": HERE, **given}, "group")) == []


@pytest.mark.parametrize(
    ("given", "key", "words"),
    [
        ({"count": "three"}, "count", ["'three' given", HERE, "int"]),
        ({"count": "3"}, "count", ["'3' given"]),  # a class would add it to a number, much later
        ({"count": 2.5}, "count", ["2.5 given"]),
        ({"count": 1e5}, "count", ["100000.0 given"]),  # as Hydra reads 1e5: no range takes it
        ({"rate": "abc"}, "rate", ["'abc' given", "float"]),
        ({"rate": "0.1"}, "rate", ["'0.1' given"]),
        ({"count": True}, "count", ["True given"]),
        ({"name": True}, "name", ["True given", "str | None"]),
        ({"on": "maybe"}, "on", ["'maybe' given", "bool"]),
        ({"rate": float("nan")}, "rate", ["nan given", "float"]),
        ({"count": None}, "count", ["null given", "int"]),
        ({"count": [1]}, "count", ["[1] given"]),
        ({"rate": {"a": 1}}, "rate", ["{'a': 1} given"]),
        ({"device": ["cpu"]}, "device", ["['cpu'] given"]),
        ({"path": 3}, "path", ["3 given", "Path | None"]),
        ({"cuont": 3}, "cuont", ["has no such argument", "'count'"]),
    ],
)
def test_what_does_not_suit_is_told_by_its_key(given, key, words):
    ((found, cause),) = signature_faults({"_target_": HERE, **given}, "group")
    assert found == f"group.{key}"
    assert all(word in cause for word in words), cause


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("torch.nn.Lineer", "has no attribute 'Lineer'"),
        ("nowhere.Thing", "No module named 'nowhere'"),
        (".Thing", "invalid format"),
        ("torch.nn", "torch.nn is not a class or function"),
        ("", "'' given; give the dotted path of a class"),
        (3, "3 given; give the dotted path"),
        ({"a": 1}, "{'a': 1} given; give the dotted path"),
    ],
)
def test_a_target_that_cannot_be_made_is_told(path, words):
    ((found, cause),) = signature_faults({"_target_": path, "bias": True}, "model")
    assert found == "model._target_" and words in cause and "\n" not in cause


@pytest.mark.parametrize("path", ["torch.nn.functional.gelu", "builtins.dict", f"{__name__}.open_ended", "huber"])
def test_what_tells_nothing_of_its_arguments_passes(path):
    assert list(signature_faults({"_target_": path, "other": 1}, "group")) == []


def test_what_a_class_hands_on_is_checked_by_its_base():
    config = {"_target_": "src.data.vimh_online_datamodule.VIMHOnlineDataModule", "batch_size": 1e2, "recipe": {}}
    ((key, cause),) = signature_faults(config, "data")
    assert key == "data.batch_size" and cause.startswith("100.0 given")


def test_faults_are_found_at_any_depth_and_the_first_is_raised():
    inner = {"_target_": HERE, "count": "x"}
    config = {"data": {"_target_": HERE, "count": 1}, "model": {"parts": [{"_target_": HERE}, {"a": inner}]}, "c": None}
    with pytest.raises(UserError, match=r"^model\.parts\.1\.a\.count: 'x' given"):
        require_valid_arguments(OmegaConf.create(config), ("data", "absent", "c", "model"))
    require_valid_arguments(OmegaConf.create(config), ("data", "c"))
