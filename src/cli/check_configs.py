"""Compose and build every experiment x trainer x logger choice, without data or training: `make check-configs`.

Every combination is resolved completely, and each distinct part is built once. A package or an accelerator that this
machine does not have is not a fault.
"""

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import yaml  # noqa: E402
from hydra import initialize_config_dir  # noqa: E402
from hydra.errors import HydraException  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from omegaconf.errors import OmegaConfBaseException  # noqa: E402

from src.cli.build_parts import Fault, build_part, parts_of  # noqa: E402
from src.cli.combinations import SWAPPED, combinations, composed, file_of, part_of  # noqa: E402
from src.cli.instantiate import quiet_lightning  # noqa: E402
from src.cli.typos import explain  # noqa: E402
from src.utils.errors import one_line  # noqa: E402

_COMPOSING = (HydraException, OmegaConfBaseException, yaml.YAMLError)


class Report(NamedTuple):
    """The number of combinations checked, the faults by file and key, and what is missing on this machine."""

    count: int
    faults: list[str]
    absent: list[str]


def check(configs: Path) -> Report:
    """Check every combination of a tree of configs."""
    faults: dict[str, None] = {}  # dicts keep the order in which faults were found
    absent: dict[str, None] = {}
    built: set[str] = set()
    count = 0
    with initialize_config_dir(str(configs.resolve()), version_base="1.3"), tempfile.TemporaryDirectory() as folder:
        try:
            plain = composed({}, folder)
        except _COMPOSING as error:
            return Report(0, [_message(error, "train.yaml")], [])
        known = OmegaConf.to_container(plain, resolve=False)
        parts: dict[str, dict[str, Any]] = {group: {} for group in SWAPPED}
        for path in (path for group in SWAPPED for path in sorted((configs / group).glob("*.yaml"))):
            group, choice = path.parent.name, path.stem
            try:
                parts[group][choice] = part_of(group, choice, plain, folder)
            except _COMPOSING as error:
                faults[_message(error, f"{group}/{choice}.yaml")] = None
        if not all(parts.values()):
            return Report(0, list(faults), [])
        for path in sorted((configs / "experiment").glob("*.yaml")):
            whole: dict[str, Any] = {}
            try:
                for choices, config, changed in combinations(path, parts, folder):
                    count += 1
                    try:
                        whole |= _resolved(config, changed if whole else list(config))
                    except OmegaConfBaseException as error:
                        whole = {}
                        key, cause = str(error.full_key or ""), one_line(error).partition(" full_key:")[0]
                        faults[f"{file_of(key, choices, configs)}: {key}: {cause}"] = None
                        continue
                    found, missing = _build_new(whole, known, built)
                    absent |= dict.fromkeys(missing)
                    faults |= {f"{file_of(key, choices, configs)}: {key}: {cause}": None for key, cause in found}
            except _COMPOSING as error:
                faults[_message(error, f"experiment/{path.name}")] = None
    return Report(count, list(faults), list(absent))


def _resolved(config: DictConfig, keys: list[str]) -> dict[str, Any]:
    """Return some keys of a config as plain containers."""
    values = {key: config[key] for key in keys}
    return {
        key: OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if OmegaConf.is_config(value) else value
        for key, value in values.items()
    }


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


def _message(error: Exception, file: str) -> str:
    cause = one_line(error) if isinstance(error, yaml.YAMLError) else explain(error)
    return cause if cause.startswith(file.removesuffix(".yaml")) else f"{file}: {cause}"


def main() -> None:
    quiet_lightning()
    warnings.simplefilter("ignore")  # packages warn about each other; a fault is an exception
    began = time.perf_counter()
    report = check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "configs")
    seconds = time.perf_counter() - began
    lines = [f"not built on this machine: {cause}" for cause in report.absent] + report.faults
    lines.append(f"{report.count:,} combinations in {seconds:.0f} s, {len(report.faults) or 'no'} faults")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
