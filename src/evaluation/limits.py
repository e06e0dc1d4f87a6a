"""Measure what an image can tell at most of each parameter: `python src/evaluation/limits.py synth=moog_basic`."""

import sys

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from pydantic import BaseModel, Field, ValidationError  # noqa: E402

from src.cli.entry import entry_point, run  # noqa: E402
from src.utils.errors import UserError  # noqa: E402
from src.utils.plain import to_plain  # noqa: E402


class Command(BaseModel):
    """The config without the recipe."""

    points: int = Field(ge=20, le=100_000)
    noise_db: float | None = Field(ge=-40, le=200)


@hydra.main(version_base="1.3", config_path="../../configs", config_name="limits")
@entry_point
def main(config: DictConfig) -> None:
    plain = to_plain(config)
    from src.data.recipe import parse_recipe
    from src.utils.invalid import describe

    try:
        command = Command.model_validate(plain)
    except ValidationError as error:
        raise UserError(describe(error)) from error
    recipe = parse_recipe({key: plain[key] for key in ("synth", "spectral", "dataset") if key in plain})
    if config.extras.print_config:
        sys.stdout.write(OmegaConf.to_yaml(config, resolve=True))
    import torch

    from src.data.limits import measure_limits
    from src.data.source import load_source
    from src.evaluation.limit_tables import print_limits

    if config.extras.num_threads:
        torch.set_num_threads(config.extras.num_threads)
    limits = measure_limits(load_source(recipe), command.points, command.noise_db)
    print_limits(limits, recipe.synth.name, command.noise_db)


if __name__ == "__main__":
    run(main)
