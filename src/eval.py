"""Test a checkpoint: `python src/eval.py ckpt_path=...`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402

from src.cli.entry import entry_point, run  # noqa: E402
from src.cli.loggers import require_loggers  # noqa: E402
from src.cli.values import is_tested, require_mappings  # noqa: E402
from src.run.checkpoints import find_checkpoints, run_of  # noqa: E402
from src.run.record import last_session  # noqa: E402
from src.utils.errors import UserError  # noqa: E402
from src.utils.files import shown_path  # noqa: E402
from src.utils.workers import raise_if_lost  # noqa: E402

if TYPE_CHECKING:
    import numpy as np

    from src.data.datamodule import BatchDataModule
    from src.data.source import Source
    from src.data.spec import DatasetSpec
    from src.data.vimh_datamodule import VIMHDataModule

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../configs", config_name="eval")
@entry_point
def main(config: DictConfig) -> None:
    require_mappings(config)
    ckpt_path, *others = find_checkpoints(config)
    given = config.data.data_dir
    if given and "://" not in given and not Path(given).is_dir():
        raise UserError(
            f"data.data_dir: {given} does not exist; give a VIMH directory, or null for the dataset "
            "that the model was trained on"
        )
    if not is_tested(config.trainer):
        raise UserError("trainer.limit_test_batches: 0 given, so there is nothing to test; give 1.0 for all")
    require_loggers(config.get("logger"))
    from src.cli.instantiate import apply_extras, build_trainer
    from src.cli.signatures import require_valid_arguments
    from src.data.fetch import fetch
    from src.data.paths import to_location
    from src.data.reopen import reopened
    from src.evaluation.energies import ENERGY_NOTE, energies_of, energy_table
    from src.evaluation.evaluate import evaluate, load_others, require_same_targets
    from src.evaluation.refinement.answers import make_refiner
    from src.evaluation.refinement.options import parse_options
    from src.evaluation.refinement.results import print_refined, refine_test, write_refined
    from src.evaluation.tables import print_evaluation, write_evaluation
    from src.evaluation.uncertainty_tables import print_reliability
    from src.models.build import read_checkpoint, restore_model
    from src.utils.table import show

    apply_extras(config)
    options = parse_options(config)
    if others and (options is not None or config.report or config.unlike):
        key = "report" if config.report else "refine" if options is not None else "unlike"
        raise UserError(f"ensemble: given with {key}, which needs a single model; give ckpt_path, or leave out {key}")
    require_valid_arguments(config, ("trainer", "callbacks", "logger"))
    trainer = build_trainer(config)  # before the dataset, which may have to be generated again
    checkpoint = read_checkpoint(ckpt_path, config.trust)
    model = restore_model(checkpoint)
    settings = checkpoint["data_settings"]
    datamodule = reopened(settings, config.trust, given, config.paths.data_dir) or open_vimh(
        settings, model.spec, config
    )
    require_same_targets(model.spec, datamodule.spec, model.heads.uses_labels)
    if datamodule.spec.sha256.get("train") != model.spec.sha256.get("train"):
        log.warning(
            "%s: the model was trained on other files, which may include some of these sounds", datamodule.data_dir
        )
    members = load_others(model, others, config.trust)
    refiner = None if options is None else make_refiner(model, datamodule.spec, options, config.trust)
    unlike = energies_of(model, fetch(to_location(config.unlike, config.paths.cache_dir))) if config.unlike else None
    source = None
    if config.audio:
        from src.evaluation.audio import audio_source

        source = audio_source(model, datamodule, OmegaConf.select(config, "metrics.sample_rate"))
    try:
        evaluation = evaluate(model, datamodule, trainer, members)
    except RuntimeError as error:
        raise_if_lost(error, "run the same command again")
        raise
    if not trainer.is_global_zero:
        return
    output = Path(config.paths.output_dir)
    write_evaluation(evaluation, output, None if others else ckpt_path, unlike)
    print_evaluation(evaluation)
    print_reliability(evaluation)
    if unlike is not None and evaluation.predictions is not None:
        show(*energy_table(evaluation.predictions.energies, unlike), caption=ENERGY_NOTE)
    log.info("results: %s", shown_path(output / "test_results.json"))
    answers: dict[str, np.ndarray] = {}
    if refiner is not None:
        refined, answers = refine_test(model, datamodule, refiner)
        write_refined(refined, output)
        print_refined(refined)
    if config.report:
        from src.evaluation.reports.write import write_report

        run_dir = run_of(ckpt_path)
        page = write_report(output, output, run_dir, last_session(run_dir), model, datamodule)
        log.info("report: %s", shown_path(page))
    if source is not None:
        if not answers:
            assert evaluation.predictions is not None  # audio_source refused other models
            answers["predicted"] = evaluation.predictions.value
        listen(datamodule, source, answers, config)


def listen(datamodule: BatchDataModule, source: Source, answers: Mapping[str, np.ndarray], config: DictConfig) -> None:
    """Compare the true sounds with those of answers (n, P) by name; write the results, then print them."""
    from src.evaluation.audio import compare_audio
    from src.evaluation.audio_samples import write_samples
    from src.evaluation.audio_tables import JSON_FILE, print_audio, write_audio

    output = Path(config.paths.output_dir)
    log.info("comparing sounds, which takes some minutes for a thousand")
    comparison = compare_audio(datamodule, source, answers, OmegaConf.select(config, "metrics.sample_rate"))
    write_audio(comparison.results, output)
    write_samples(comparison, output / "sounds")
    print_audio(comparison.results)
    log.info("results: %s", shown_path(output / JSON_FILE))
    log.info("the best, the median and the worst sound: %s", shown_path(output / "sounds"))


def open_vimh(settings: Mapping[str, Any], spec: DatasetSpec, config: DictConfig) -> VIMHDataModule:
    """Return the datamodule of the directory that is given, or by default of the dataset of a checkpoint."""
    from src.data.vimh_datamodule import VIMHDataModule

    given = config.data.data_dir
    data_dir = given or f"{config.paths.data_dir}/{spec.name}"  # text: it may be a URL
    return VIMHDataModule(
        data_dir,
        recipe=None if given else missing_recipe(data_dir, spec, config),
        verify=config.verify,
        cache_dir=config.paths.cache_dir,
        allow_blind=True,  # the model was trained on this dataset
        trust=config.trust,
        **settings,
    )


def missing_recipe(data_dir: str, spec: DatasetSpec, config: DictConfig) -> dict[str, Any] | None:
    """Return the recipe of a checkpoint's missing dataset, None if it exists; raise UserError if it is not allowed."""
    from src.data.info import INFO_FILE
    from src.data.origin import recipe_to_make
    from src.data.paths import is_complete, to_location

    if is_complete(to_location(data_dir, config.paths.cache_dir), INFO_FILE):
        return None
    try:
        return recipe_to_make(spec, config.trust).model_dump(mode="json")
    except UserError as error:
        raise UserError(
            f"{data_dir} does not exist and cannot be generated again ({error}); give data.data_dir=..."
        ) from error


if __name__ == "__main__":
    run(main)
