"""Compose and build every pair of an experiment, a trainer and a logger, without training: `make check-configs`.

Every config is resolved completely, and each distinct part is built once. A package or an accelerator that this
machine does not have is not a fault.
"""

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import yaml  # noqa: E402
from hydra import compose, initialize_config_dir  # noqa: E402
from hydra.core.global_hydra import GlobalHydra  # noqa: E402
from hydra.errors import HydraException  # noqa: E402
from hydra.types import RunMode  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from omegaconf.errors import OmegaConfBaseException  # noqa: E402

from src.cli.build_parts import Fault, build_part, parts_of  # noqa: E402
from src.cli.instantiate import quiet_lightning  # noqa: E402
from src.cli.typos import explain  # noqa: E402
from src.utils.errors import one_line  # noqa: E402
from src.utils.plain import to_plain  # noqa: E402

Choices = dict[str, str]

_GROUPS = ("experiment", "trainer", "logger")
_COMPOSING = (HydraException, OmegaConfBaseException, yaml.YAMLError)


class Report(NamedTuple):
    """The number of configs checked, the faults by file and key, and what is missing on this machine."""

    num_checked: int
    faults: list[str]
    absent: list[str]


def check(configs: Path) -> Report:
    """Check a tree of configs."""
    faults: dict[str, None] = {}  # dicts keep the order in which faults were found
    absent: dict[str, None] = {}
    built: set[str] = set()
    count = 0
    names = [sorted(path.stem for path in (configs / group).glob("*.yaml")) for group in _GROUPS]
    with initialize_config_dir(str(configs.resolve()), version_base="1.3"), tempfile.TemporaryDirectory() as folder:
        try:
            known = to_plain(composed({}, folder), resolve=False)
        except _COMPOSING as error:
            return Report(0, [_message(error, "train.yaml")], [])
        for choices in covering_pairs(*names):
            count += 1
            try:
                config = composed(choices, folder)
            except _COMPOSING as error:
                faults[_message(error, _faulty_file(choices, folder))] = None
                continue
            try:
                whole = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
            except OmegaConfBaseException as error:
                key, cause = str(error.full_key or ""), one_line(error).partition(" full_key:")[0]
                faults[f"{file_of(key, choices, configs)}: {key}: {cause}"] = None
                continue
            found, missing = _build_new(whole, known, built)
            absent |= dict.fromkeys(missing)
            faults |= {f"{file_of(key, choices, configs)}: {key}: {cause}": None for key, cause in found}
    return Report(count, list(faults), list(absent))


def _faulty_file(choices: Choices, folder: str) -> str:
    """Return the file of the choice that cannot be composed even alone, otherwise that of the experiment."""
    for group in ("trainer", "logger"):
        try:
            composed({group: choices[group]}, folder)
        except _COMPOSING:
            return f"{group}/{choices[group]}.yaml"
    return f"experiment/{choices['experiment']}.yaml"


def _build_new(whole: Mapping[str, Any], known: Mapping[str, Any], built: set[str]) -> tuple[list[Fault], list[str]]:
    """Build the parts of a resolved config that are not yet in `built`, and add them to it."""
    faults, absent = [], []
    for part, given in parts_of(whole, known).items():
        content = json.dumps([part, given], sort_keys=True, default=str)
        if content not in built:
            built.add(content)
            found, missing = build_part(part, given)
            faults += found
            absent += missing
    return faults, absent


def _message(error: HydraException | OmegaConfBaseException | yaml.YAMLError, file: str) -> str:
    cause = one_line(error) if isinstance(error, yaml.YAMLError) else explain(error)
    return cause if cause.startswith(file.removesuffix(".yaml")) else f"{file}: {cause}"


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


def main() -> None:
    quiet_lightning()
    warnings.simplefilter("ignore")  # packages warn about each other; a fault is an exception
    began = time.perf_counter()
    report = check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "configs")
    seconds = time.perf_counter() - began
    lines = [f"not built on this machine: {cause}" for cause in report.absent] + report.faults
    lines.append(f"{report.num_checked:,} configs in {seconds:.0f} s, {len(report.faults) or 'no'} faults")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
