"""Generate a VIMH dataset: `python generate_vimh.py synth=moog_basic dataset.size=16384`."""

import sys
import time
from pathlib import Path
from typing import Any, cast

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from hydra.core.hydra_config import HydraConfig  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from pydantic import BaseModel, ConfigDict, Field, ValidationError  # noqa: E402

from src.cli.entry import entry_point, run  # noqa: E402
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
    """Translate this command's flags into Hydra overrides; all other arguments are unchanged."""
    translated = [FLAGS.get(argument, argument) for argument in arguments]
    envelopes = [name for name in ("temporal_envelope", "spectral_envelope") if name in translated]
    if envelopes:
        translated.append(f"spectral.channels=[magnitude,{','.join(envelopes)}]")
    return [argument for argument in translated if argument not in envelopes]


class GenerateConfig(BaseModel):
    """Where and how a dataset is written; none of this changes its bytes."""

    model_config = ConfigDict(extra="forbid")

    output_dir: str = Field(min_length=1)
    cache_dir: str = Field(min_length=1)
    pickle: bool
    workers: int | None = Field(ge=1, le=1024)


class Command(BaseModel):
    """The config without the recipe."""

    overwrite: bool  # validated, since otherwise any text, even `no`, would count as true
    allow_blind: bool
    shard: int | None = Field(ge=0)
    num_shards: int | None = Field(ge=1, le=2**20)
    merge: bool
    keep_shards: bool
    generate: GenerateConfig

    def check_shards(self) -> None:
        """Raise UserError unless shard, num_shards and merge make sense together."""
        if self.num_shards is None and (self.merge or self.shard is not None):
            raise UserError("num_shards: not given; give the number of parts, as in num_shards=16 'shard=range(16)'")
        if self.num_shards is not None and self.merge == (self.shard is not None):
            raise UserError("num_shards: also give either shard=NUMBER, to make that part, or merge=true")
        if self.num_shards is not None and self.shard is not None and self.shard >= self.num_shards:
            raise UserError(
                f"shard: {self.shard} given; give 0 to {self.num_shards - 1} with num_shards={self.num_shards}"
            )


@hydra.main(version_base="1.3", config_path="configs", config_name="generate")
@entry_point
def main(config: DictConfig) -> None:
    plain = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    from src.data.recipe import parse_recipe
    from src.utils.invalid import describe

    try:
        command = Command.model_validate(plain)
    except ValidationError as error:
        raise UserError(describe(error)) from error
    command.check_shards()
    recipe = parse_recipe({key: plain[key] for key in ("synth", "spectral", "dataset") if key in plain})
    if config.extras.print_config:
        sys.stdout.write(OmegaConf.to_yaml(config, resolve=True))
    import torch

    from src.data.generate import describe_source, generate
    from src.data.paths import to_location
    from src.data.sensitivity import NoEffectError
    from src.data.shards import make_shard, merge_shards
    from src.data.source import load_source
    from src.evaluation.tables import print_sensitivity

    if config.extras.num_threads:
        torch.set_num_threads(config.extras.num_threads)
    settings = command.generate
    output_dir = to_location(settings.output_dir, settings.cache_dir)
    started_in = Path(HydraConfig.get().runtime.cwd)
    if isinstance(output_dir, Path) and started_in != Path.cwd():  # a launcher's worker may run elsewhere
        output_dir = started_in / output_dir
    began = time.perf_counter()
    allow_blind, overwrite = command.allow_blind, command.overwrite
    try:
        if command.num_shards is None:
            place, spec = generate(recipe, output_dir, overwrite, settings.pickle, settings.workers, allow_blind)
        elif command.shard is not None:
            shard = command.shard, command.num_shards
            make_shard(recipe, output_dir, *shard, overwrite, settings.workers, allow_blind)
            return
        else:
            merging = command.num_shards, overwrite, settings.pickle, command.keep_shards
            place, spec = merge_shards(recipe, output_dir, *merging, allow_blind)
    except NoEffectError as error:
        source = load_source(recipe)
        print_sensitivity(describe_source(source, error.rows), output_dir / source.name)
        raise UserError(f"{error}; nothing was written; allow_blind=true writes the dataset anyway") from error
    print_sensitivity(spec, place, time.perf_counter() - began)


if __name__ == "__main__":
    sys.argv[1:] = to_overrides(sys.argv[1:])
    run(main)
