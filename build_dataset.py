"""Build a VIMH dataset from others, or check one: `python build_dataset.py from=[data/one,data/other] name=both`."""

import sys
import time
from pathlib import Path
from typing import Any, cast

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from hydra.core.hydra_config import HydraConfig  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from pydantic import ValidationError  # noqa: E402

from src.cli.entry import entry_point, run  # noqa: E402
from src.data.build.config import BuildConfig  # noqa: E402
from src.utils.errors import UserError  # noqa: E402

_OWN = ("from", "name", "filter", "drop", "split", "balance", "seed")


@hydra.main(version_base="1.3", config_path="configs", config_name="build")
@entry_point
def main(config: DictConfig) -> None:
    plain = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    if plain["check"]:
        if plain["from"]:
            raise UserError("check: given with from; give one of them")
        from src.evaluation.reports.dataset.quality import check_dataset

        check_dataset(located(plain["check"]), Path(config.paths.log_dir), config.trust, config.paths.cache_dir)
        return
    settings = parse({key: plain[key] for key in _OWN if key in plain})
    if config.extras.print_config:
        sys.stdout.write(OmegaConf.to_yaml(config, resolve=True))
    import torch

    from src.data.build.build import build
    from src.data.paths import to_location
    from src.evaluation.reports.dataset.quality import report_built

    if config.extras.num_threads:
        torch.set_num_threads(config.extras.num_threads)
    settings.sources = [located(source) for source in settings.sources]
    output_dir = to_location(located(config.build.output_dir), config.build.cache_dir)
    began = time.perf_counter()
    place, changes = build(settings, output_dir, config.build.cache_dir, config.trust)
    report_built(place, changes, time.perf_counter() - began)


def located(given: str) -> str:
    """Return a path from where the command was started, since a launcher's worker may run elsewhere, or a URL."""
    started_in = Path(HydraConfig.get().runtime.cwd)
    if "://" in given:
        return given
    path = Path(given).expanduser()
    return str(path if started_in == Path.cwd() else started_in / path)


def parse(plain: dict[str, Any]) -> BuildConfig:
    """Check the settings of a built dataset; a UserError lists the faults with the keys' full names."""
    for key in ("from", "drop"):
        if isinstance(plain.get(key), str):
            plain = plain | {key: [plain[key]]}
    if not plain.get("from"):
        raise UserError("from: not given; give VIMH directories, as in from=[data/one,data/other], or check=data/one")
    try:
        return BuildConfig.model_validate(plain)
    except ValidationError as error:
        from src.utils.invalid import describe

        raise UserError(describe(error)) from error


if __name__ == "__main__":
    run(main)
