"""Every experiment with every trainer and logger, composed as Hydra would, and the file that a key comes from.

The files of a trainer and of a logger set one key each and precede the experiment in the defaults list, so an
experiment is composed only once. For every other choice, that key comes from a config without an experiment, to which
the changes of the experiment's file are applied. If the result would differ from Hydra's, Hydra composes it.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

SWAPPED = ("trainer", "logger")

Choices = dict[str, str]
Parts = Mapping[str, Mapping[str, Any]]


def composed(choices: Mapping[str, str], folder: str) -> DictConfig:
    """Compose the training config with some choices; its output directories are below a folder."""
    paths = [f"paths.{name}_dir={folder}" for name in ("output", "log", "data")]
    return compose("train", [*(f"{group}={choice}" for group, choice in choices.items()), *paths])


def part_of(group: str, choice: str, plain: DictConfig, folder: str) -> Any:
    """Return the value of a group's key that a choice sets; None if the choice changes anything else."""
    config = composed({group: choice}, folder)
    alone = _without(config, group) == _without(plain, group)
    return OmegaConf.to_container(config, resolve=False)[group] if alone else None


def combinations(path: Path, parts: Parts, folder: str) -> Iterator[tuple[Choices, DictConfig, list[str]]]:
    """Yield an experiment's config with every trainer and logger, and the keys that may differ from the previous one.

    Unless Hydra has to compose it, the config is the previous object, changed in place.
    """
    first = {group: next(iter(parts[group])) for group in SWAPPED}
    config = composed({"experiment": path.stem, **first}, folder)
    given = OmegaConf.load(path)
    found = OmegaConf.to_container(config, resolve=False)
    overlaid = {
        group: {choice: _overlay(group, part, given) for choice, part in parts[group].items()} for group in SWAPPED
    }
    alone = all(overlaid[group][first[group]] == found[group] for group in SWAPPED)
    others = {key: value for key, value in found.items() if key not in SWAPPED}
    referred = any(f"${{{group}" in str(others) for group in SWAPPED)
    changed = list(config)
    for pair in product(*(parts[group] for group in SWAPPED)):
        chosen = dict(zip(SWAPPED, pair, strict=True))
        choices = {"experiment": path.stem, **chosen}
        if alone and all(parts[group][choice] is not None for group, choice in chosen.items()):
            with open_dict(config):
                for group, choice in chosen.items():
                    config[group] = overlaid[group][choice]
            yield choices, config, changed
            changed = list(config if referred else SWAPPED)
        else:
            yield choices, (other := composed(choices, folder)), list(other)
            changed = list(config)


def file_of(key: str, choices: Choices, configs: Path) -> str:
    """Return the config file that sets a key, or most of its path, last."""
    best, longest = "train.yaml", 0
    for default in _defaults(tuple(f"{group}={choice}" for group, choice in choices.items()), configs):
        path = configs / f"{default.config_path}.yaml"
        if default.config_path is None or not path.is_file():
            continue
        package = default.package.split(".") if default.package else []
        wanted = key.split(".")
        depth = _depth(OmegaConf.to_container(OmegaConf.load(path), resolve=False), wanted[len(package) :])
        length = len(package) + depth
        if wanted[: len(package)] == package and length and length >= longest:
            best, longest = f"{default.config_path}.yaml", length
    return best


@lru_cache(maxsize=1)  # the faults of one combination come one after the other
def _defaults(overrides: tuple[str, ...], configs: Path) -> list[ResultDefault]:
    """Return the files that Hydra combines, in its order; `configs` distinguishes the trees of configs in the cache."""
    return GlobalHydra.instance().config_loader().compute_defaults_list("train", list(overrides), RunMode.RUN).defaults


def _without(config: DictConfig, group: str) -> dict[str, Any]:
    return {key: value for key, value in OmegaConf.to_container(config, resolve=False).items() if key != group}


def _overlay(group: str, part: Any, given: DictConfig) -> Any:
    own = {group: given[group]} if group in given else {}
    return OmegaConf.to_container(OmegaConf.merge({group: part}, own), resolve=False)[group]


def _depth(config: Any, keys: list[str]) -> int:
    """Count the leading keys that a nested config has."""
    if not keys or not isinstance(config, Mapping) or keys[0] not in config:
        return 0
    return 1 + _depth(config[keys[0]], keys[1:])
