"""Show the results of a test as one page with figures and sounds: `python src/report.py ckpt_path=best`."""

from __future__ import annotations

import logging
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from src.cli.entry import entry_point, run  # noqa: E402
from src.cli.values import require_mappings  # noqa: E402
from src.run.checkpoints import find_checkpoint, run_of  # noqa: E402
from src.run.record import last_session  # noqa: E402
from src.utils.errors import UserError  # noqa: E402
from src.utils.files import path_text, sha256_of, shown_path  # noqa: E402

if TYPE_CHECKING:
    from src.data.datamodule import BatchDataModule

log = logging.getLogger(__name__)

_MOST_STEPS = 1000


@hydra.main(version_base="1.3", config_path="../configs", config_name="report")
@entry_point
def main(config: DictConfig) -> None:
    require_mappings(config)
    if not config.ckpt_path and not config.results:
        raise UserError("ckpt_path: not given; give a .ckpt file, or best for best.ckpt of the newest run")
    if type(config.refine) is not int or not 0 <= config.refine <= _MOST_STEPS:
        raise UserError(f"refine: {config.refine} given; give a number of steps from 0 to {_MOST_STEPS}")
    checkpoint = find_checkpoint(config.ckpt_path, Path(config.paths.log_dir)) if config.ckpt_path else None
    from src.cli.instantiate import apply_extras
    from src.evaluation.reports.write import write_report
    from src.models.build import read_checkpoint, restore_model

    apply_extras(config)
    results = (
        Path(config.results) if config.results else run_of(cast(Path, checkpoint)) or cast(Path, checkpoint).parent
    )
    checkpoint = same_checkpoint(results, checkpoint)
    model = datamodule = None
    if checkpoint is not None:
        content = read_checkpoint(checkpoint, config.trust)
        model = restore_model(content)
        datamodule = open_data(content["data_settings"], model.spec.name, config)
    output, run_dir = Path(config.paths.output_dir), None if checkpoint is None else run_of(checkpoint)
    page = write_report(results, output, run_dir, last_session(run_dir), model, datamodule, config.refine)
    log.info("report: %s", shown_path(page))
    if config.open:
        webbrowser.open(page.resolve().as_uri())


def same_checkpoint(results: Path, checkpoint: Path | None) -> Path | None:
    """Return the checkpoint that made the results, if its file is there; raise UserError if another is given."""
    from src.evaluation.predictions_file import FILE, read_predictions_file

    path = results / FILE
    if checkpoint is not None and not path.is_file():
        raise UserError(f"{path_text(path)}: no such file; run src/eval.py ckpt_path={checkpoint} report=true instead")
    about = read_predictions_file(path).about
    stated = Path(str(about.get("checkpoint", "")))
    if checkpoint is None:
        return stated if stated.is_file() and sha256_of(stated) == about.get("checkpoint_sha256") else None
    if sha256_of(checkpoint) != about.get("checkpoint_sha256"):
        raise UserError(
            f"{path_text(path)}: is of another checkpoint; run src/eval.py ckpt_path={checkpoint} report=true instead"
        )
    return checkpoint


def open_data(settings: dict[str, Any], name: str, config: DictConfig) -> BatchDataModule | None:
    """Return the datamodule of a checkpoint; None, and a warning, if its VIMH directory is not here."""
    from src.data.info import INFO_FILE
    from src.data.paths import is_complete, to_location
    from src.data.reopen import reopened
    from src.data.vimh_datamodule import VIMHDataModule

    given = config.data.data_dir
    datamodule = reopened(settings, config.trust, given, config.paths.data_dir)
    if datamodule is not None:
        return datamodule
    data_dir = given or f"{config.paths.data_dir}/{name}"
    if not given and not is_complete(to_location(data_dir, config.paths.cache_dir), INFO_FILE):
        log.warning("%s does not exist, so the report shows no images of it", shown_path(data_dir))
        return None
    return VIMHDataModule(
        data_dir,
        cache_dir=config.paths.cache_dir,
        allow_blind=True,  # the model was trained on this dataset
        trust=config.trust,
        **settings,
    )


if __name__ == "__main__":
    run(main)
