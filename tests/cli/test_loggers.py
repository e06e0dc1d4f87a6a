"""Loggers that cannot be had are one line, before the dataset is made."""

from importlib.util import find_spec

import pytest
from omegaconf import OmegaConf

from src.cli import loggers
from src.utils.errors import UserError
from tests import running


@pytest.mark.parametrize(("extra", "package"), loggers.PACKAGES.items())
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, tmp_path, extra, package):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None if name == package else find_spec(name))
    config = running.composed("train", f"logger={extra}", f"paths.output_dir={tmp_path}").logger
    with pytest.raises(UserError) as raised:
        loggers.require_loggers(config)
    assert (
        str(raised.value)
        == f"logger.{extra}: {package} is not installed; install it with: uv pip install -e '.[{extra}]'"
    )


def test_every_extra_that_is_named_exists():
    import tomllib

    extras = tomllib.loads((running.ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, package in loggers.PACKAGES.items():
        assert any(one.startswith(package) for one in extras[extra])


def test_packages_that_are_there_and_no_logger_pass(monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: object())
    for choice in (*loggers.PACKAGES, "many_loggers"):
        loggers.require_loggers(running.composed("train", f"logger={choice}", "paths.output_dir=x").logger)
    loggers.require_loggers(None)
    loggers.require_loggers(OmegaConf.create({"mine": {"_target_": "my.Logger"}}))


@pytest.mark.parametrize("logger", ["neptune", "wandb"])
def test_it_is_told_before_data_are_made(tmp_path, caplog, monkeypatch, logger):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    line = running.fault(caplog, "train", tmp_path / "data", tmp_path / "run", f"logger={logger}")
    assert line.startswith(f"logger.{logger}: ")
    assert not (tmp_path / "data").exists()
