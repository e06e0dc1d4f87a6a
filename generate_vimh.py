"""Make a VIMH dataset: `python generate_vimh.py synth=moog_basic dataset.size=16384`."""

import sys
import time
from pathlib import Path

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from pydantic import BaseModel, ConfigDict, Field, ValidationError  # noqa: E402

from src.utils.entry import run, task  # noqa: E402
from src.utils.errors import UserError  # noqa: E402

FLAGS = {
    "-p": "generate.pickle=true",
    "--pickle": "generate.pickle=true",
    "-s": "dataset.shuffle=true",
    "--shuffle": "dataset.shuffle=true",
    "--temporal-envelope": "temporal_envelope",
    "--spectral-envelope": "spectral_envelope",
    "--normalize": "spectral.image_scaling=per_sample",
    "-h": "--help",
}


def to_overrides(arguments: list[str]) -> list[str]:
    """Translate this command's flags into Hydra overrides; everything else passes as it is."""
    translated = [FLAGS.get(argument, argument) for argument in arguments]
    envelopes = [name for name in ("temporal_envelope", "spectral_envelope") if name in translated]
    if envelopes:
        translated.append(f"spectral.channels=[magnitude,{','.join(envelopes)}]")
    return [argument for argument in translated if argument not in envelopes]


class GenerateConfig(BaseModel):
    """Where a dataset goes and how it is made; none of this reaches its bytes."""

    model_config = ConfigDict(extra="forbid")

    output_dir: str = Field(min_length=1)
    pickle: bool
    workers: int | None = Field(ge=1, le=1024)


class Command(BaseModel):
    """What the config holds besides the recipe."""

    overwrite: bool  # checked, since any text, even `no`, would count as true
    generate: GenerateConfig


@hydra.main(version_base="1.3", config_path="configs", config_name="generate")
@task
def main(config: DictConfig) -> None:
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    from src.data.recipe import describe, parse_recipe

    try:
        command = Command.model_validate(plain)
    except ValidationError as error:
        raise UserError(describe(error)) from error
    recipe = parse_recipe({key: plain[key] for key in ("synth", "spectral", "dataset") if key in plain})
    from src.data.generate import generate
    from src.evaluation.tables import print_sensitivity

    settings = command.generate
    began = time.perf_counter()
    directory, spec = generate(recipe, Path(settings.output_dir), command.overwrite, settings.pickle, settings.workers)
    print_sensitivity(spec, directory, time.perf_counter() - began)


if __name__ == "__main__":
    sys.argv[1:] = to_overrides(sys.argv[1:])
    run(main)
