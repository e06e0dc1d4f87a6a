"""Running the entry points in process: the task functions get the config that Hydra would compose."""

import functools
import hashlib
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from src import eval as eval_entry
from src import predict as predict_entry
from src import report as report_entry
from src import train as train_entry

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
_TASKS = {
    "train": train_entry.main,
    "eval": eval_entry.main,
    "predict": predict_entry.main,
    "report": report_entry.main,
}
shared: Path | None = None  # where the workers of a session keep the configs that they have composed
_TINY = ("trainer=cpu", "trainer.max_epochs=2", "dataset.size=128", "data.batch_size=32")


def composed(name: str, *overrides: str) -> DictConfig:
    """Return the config of an entry point, as the command line would compose it.

    Composing takes longer than many tests, so a choice of files is composed once and plain values are set in a copy.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [override for override in parsed if _is_plain_value(override)]
    files = tuple(override.input_line for override in parsed if not _is_plain_value(override))
    config = pickle.loads(_by_hydra(name, files))
    try:
        for override in values:
            _apply(override, config)
    except (ConfigAttributeError, ConfigKeyError):
        return pickle.loads(_by_hydra(name, overrides))  # for Hydra's own message
    return config


def _is_plain_value(override: Override) -> bool:
    """Return whether an override sets, adds or deletes a key: it chooses no other files, and none is Hydra's own."""
    key = override.key_or_group
    of_files = "/" in key or (CONFIGS / key).is_dir() or key.startswith("hydra.")
    return not of_files and not override.is_sweep_override()


def _apply(override: Override, config: DictConfig) -> None:
    """Set, add or delete a key as Hydra would; what it would refuse is a ConfigKeyError."""
    key, value = override.key_or_group, override.value()
    adds = override.type in (OverrideType.ADD, OverrideType.FORCE_ADD)
    if override.type is OverrideType.CHANGE:
        OmegaConf.update(config, key, value)
    elif override.type is OverrideType.FORCE_ADD or (adds and OmegaConf.select(config, key) is None):
        OmegaConf.update(config, key, value, force_add=True)
    elif not adds and value is None and OmegaConf.select(config, key) is not None:
        parent, _, name = key.rpartition(".")
        with open_dict(config):
            del (OmegaConf.select(config, parent) if parent else config)[name]
    else:
        raise ConfigKeyError(key)


@functools.cache
def _by_hydra(name: str, overrides: tuple[str, ...]) -> bytes:
    """Return a config that Hydra composed, pickled, which is the fastest way to copy it.

    The workers of a session share what they have composed.
    """
    if shared is None:
        return _compose(name, overrides)
    path = shared / hashlib.sha256(repr((name, overrides)).encode()).hexdigest()
    if not path.exists():
        own = path.with_suffix(f".{os.getpid()}")
        own.write_bytes(_compose(name, overrides))
        own.replace(path)
    return path.read_bytes()


def _compose(name: str, overrides: tuple[str, ...]) -> bytes:
    """Compose by Hydra, but parse no file twice: that is a quarter of the time."""
    parsed = mock.patch.object(OmegaConf, "load", lambda file: pickle.loads(_parsed(Path(file.name))))
    with initialize_config_dir(str(CONFIGS), version_base="1.3"), parsed:
        return pickle.dumps(compose(name, list(overrides)))


_load = OmegaConf.load


@functools.cache
def _parsed(path: Path) -> bytes:
    return pickle.dumps(_load(path))


def plain(name: str, group: str, *overrides: str) -> dict[str, Any]:
    """Return one group of a composed config as a plain dict."""
    return OmegaConf.to_container(composed(name, "paths.output_dir=.", *overrides)[group], resolve=True)


def recipe(*overrides: str) -> dict[str, Any]:
    """Return what decides a dataset, as `generate_vimh.py` would compose it."""
    return {key: plain("generate", key, *overrides) for key in ("synth", "spectral", "dataset")}


def run(name: str, data_root: Path, output: Path, *overrides: str, whole: bool = False) -> Any:
    """Run the train, eval, predict or report task; its datasets are below `data_root`, its results in `output`.

    Training is two epochs of 128 clips on the CPU unless `whole`, or the overrides, say otherwise. Its logger is then
    csv, since drawing TensorBoard's figures takes longer than the rest of such a run.
    """
    output.mkdir(parents=True, exist_ok=True)
    given = [f"paths.data_dir={data_root}", f"paths.output_dir={output}", f"paths.log_dir={output / 'logs'}"]
    if name == "train" and not whole:
        given += _TINY
        if not any(key in word for word in overrides for key in ("logger", "debug", "experiment")):
            given += ["logger=csv"]
    return _TASKS[name](composed(name, *given, *overrides))


def fault(caplog: pytest.LogCaptureFixture, name: str, data_root: Path, output: Path, *overrides: str) -> str:
    """Return the one line that a run ends with, with exit status 1."""
    caplog.clear()
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as exited:
        run(name, data_root, output, *overrides)
    assert exited.value.code == 1
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "\n" not in line
    return line


def command(
    *arguments: str, flags: tuple[str, ...] = (), cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess:
    """Run one of the scripts in a process of its own, with some more variables in its environment."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables}
    environment.pop("HYDRA_FULL_ERROR", None)
    line = [sys.executable, *flags, str(ROOT / arguments[0]), *arguments[1:]]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
