"""List a voice's parameters and their ranges in a synth config: `make list-parameters SYNTH=moog_basic`."""

import argparse
import textwrap
from functools import partial

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf

from src.cli.script import run_script
from src.data.recipe import parse_recipe
from src.parameters.spec import ParameterSpec
from src.synth.config import Synth, load_synth
from src.synth.voice import Voice
from src.utils.errors import UserError, did_you_mean

WIDTH = 80
_HEADINGS = ("parameter", "allowed", "in this config", "default", "unit")


def load(name: str) -> Synth:
    """Return the synth of a config in configs/synth; raise UserError if it does not exist or is invalid."""
    names = sorted(path.stem for path in (ROOT / "configs/synth").glob("*.yaml"))
    if name not in names:
        raise UserError(f"SYNTH: no config '{name}'.{did_you_mean(name, names)}")
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        try:
            config = compose("generate", [f"synth={name}"])
        except HydraException as error:
            raise UserError(f"configs/synth/{name}.yaml: {' '.join(str(error).split())}") from error
    recipe = {key: OmegaConf.to_container(config[key], resolve=True) for key in ("synth", "spectral", "dataset")}
    return load_synth(parse_recipe(recipe).synth)


def list_parameters(synth: Synth) -> list[str]:
    """Return the lines of a table, at most 80 characters wide unless a single word is longer."""
    here = {spec.name: spec for spec in synth.space.specs}
    rows = [_HEADINGS, *(_row(allowed, here[allowed.name]) for allowed in synth.voice.parameters)]
    widths = [min(max(len(row[at]) for row in rows), 22) for at in range(len(_HEADINGS))]
    lines = []
    for row, description in zip(rows, ["", *(spec.description for spec in synth.voice.parameters)], strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines += _wrap("  ".join(cells).rstrip(), subsequent_indent="    ")
        lines += _wrap(description, initial_indent="  ", subsequent_indent="  ")
    return lines


def markdown(voice: Voice) -> str:
    """Return the table of a voice for the documentation."""
    lines = ["| parameter | allowed | default | unit | what it is |", "|---|---|---|---|---|"]
    for spec in voice.parameters:
        default = "" if spec.default is None else spec.format(spec.default)
        cells = [f"`{spec.name}`", _widest(spec), default, spec.unit, spec.description]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


_wrap = partial(textwrap.wrap, width=WIDTH, break_long_words=False, break_on_hyphens=False, replace_whitespace=False)


def _row(allowed: ParameterSpec, here: ParameterSpec) -> tuple[str, ...]:
    """Return a parameter's name, the range that its voice allows, the range in the config, the default and the unit."""
    range_here = here.describe_range(with_unit=False)
    default = "" if allowed.default is None else allowed.format(allowed.default)
    return allowed.name, _widest(allowed), range_here, default, allowed.unit


def _widest(allowed: ParameterSpec) -> str:
    return ", ".join(allowed.values) if allowed.values else f"{allowed.min:g}..{allowed.max:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("synth", nargs="?", default="simple_saw", help="a config of configs/synth")
    parser.add_argument("--markdown", action="store_true", help="print the voice as a Markdown table")
    arguments = parser.parse_args()
    name = arguments.synth
    synth = load(name)
    if arguments.markdown:
        print(markdown(synth.voice))
        return
    varying = len(synth.space)
    print(f"{name}: voice {synth.config.voice}, {varying} of {len(synth.voice.parameters)} parameters vary\n")
    print("\n".join(list_parameters(synth)))
    override = "'+synth.parameters.NAME={min: A, step: B, max: C}'"
    print(f"\nTo vary a parameter:\npython generate_vimh.py synth={name} \\\n  {override}")


if __name__ == "__main__":
    run_script(main)
