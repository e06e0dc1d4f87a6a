"""Test a checkpoint: `python src/eval.py ckpt_path=...`."""

import logging
from pathlib import Path

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from src.utils.checkpoints import find_checkpoint  # noqa: E402
from src.utils.entry import require, run, task  # noqa: E402
from src.utils.files import write_whole  # noqa: E402
from src.utils.loggers import require_loggers  # noqa: E402

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../configs", config_name="eval")
@task
def main(config: DictConfig) -> None:
    require(config, "ckpt_path", "give a .ckpt file, or best: the newest run's")
    ckpt_path = find_checkpoint(config.ckpt_path, Path(config.paths.log_dir))
    require_loggers(config.get("logger"))
    from src.data.vimh_datamodule import VIMHDataModule
    from src.evaluation.evaluate import evaluate, require_same_task
    from src.evaluation.tables import print_evaluation
    from src.models.build import read_checkpoint, restore_model
    from src.utils.instantiate import apply_extras, build_trainer

    apply_extras(config)
    checkpoint = read_checkpoint(ckpt_path, config.trust)
    model = restore_model(checkpoint)
    data_dir = config.data_dir or f"{config.paths.data_dir}/{model.spec.name}"  # text: it may be a URL
    recipe = (model.spec.generator or {}).get("config") if config.data_dir is None else None
    given = {"data_dir": data_dir, "recipe": recipe, "verify": config.verify, "cache_dir": config.paths.cache_dir}
    given["allow_blind"] = True  # the model was trained on this dataset
    datamodule = VIMHDataModule(**given, **checkpoint["data_settings"])
    require_same_task(model.spec, datamodule.spec)
    if datamodule.spec.sha256.get("train") != model.spec.sha256.get("train"):
        log.warning("%s: not the files this model was trained on, which may hold some of these sounds", data_dir)
    trainer = build_trainer(config)
    evaluation = evaluate(model, datamodule, trainer)
    if not trainer.is_global_zero:
        return
    print_evaluation(evaluation)
    output = Path(config.paths.output_dir) / "test_results.json"
    write_whole(output, evaluation.to_json())
    log.info("results: %s", output)
    if config.report:
        from src.evaluation.report import write_report

        log.info("report, with sounds to listen to: %s", write_report(evaluation, model, datamodule, output.parent))


if __name__ == "__main__":
    run(main)
