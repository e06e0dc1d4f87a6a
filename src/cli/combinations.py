"""Experiments with trainers and loggers, composed by Hydra, and the file that a key comes from."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from src.utils.plain import to_plain

Choices = dict[str, str]


def covering_pairs(experiments: Sequence[str], trainers: Sequence[str], loggers: Sequence[str]) -> Iterator[Choices]:
    """Yield choices in which each experiment meets each trainer and each logger.

    The loggers begin with another one for each experiment, so that each trainer also meets each logger, if there are as
    many experiments as loggers.
    """
    for number, experiment in enumerate(experiments):
        for at in range(max(len(trainers), len(loggers))):
            trainer, logger = trainers[at % len(trainers)], loggers[(at + number) % len(loggers)]
            yield {"experiment": experiment, "trainer": trainer, "logger": logger}


def composed(choices: Mapping[str, str], folder: str) -> DictConfig:
    """Compose the training config with some choices; its output directories are below a folder."""
    paths = [f"paths.{name}_dir={folder}" for name in ("output", "log", "data")]
    return compose("train", [*(f"{group}={choice}" for group, choice in choices.items()), *paths])


def file_of(key: str, choices: Choices, configs: Path) -> str:
    """Return the config file that sets a key, or most of its path, last."""
    best, longest = "train.yaml", 0
    overrides = [f"{group}={choice}" for group, choice in choices.items()]
    files = GlobalHydra.instance().config_loader().compute_defaults_list("train", overrides, RunMode.RUN).defaults
    for default in files:  # in the order in which Hydra combines them
        path = configs / f"{default.config_path}.yaml"
        if default.config_path is None or not path.is_file():
            continue
        package = default.package.split(".") if default.package else []
        wanted = key.split(".")
        depth = _depth(to_plain(OmegaConf.load(path), resolve=False), wanted[len(package) :])
        length = len(package) + depth
        if wanted[: len(package)] == package and length and length >= longest:
            best, longest = f"{default.config_path}.yaml", length
    return best


def _depth(config: Any, keys: list[str]) -> int:
    """Count the leading keys that a nested config has."""
    if not keys or not isinstance(config, Mapping) or keys[0] not in config:
        return 0
    return 1 + _depth(config[keys[0]], keys[1:])
