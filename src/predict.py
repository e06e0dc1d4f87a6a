"""Predict the parameters of a sound: `python src/predict.py ckpt_path=... input=sound.wav`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from src.cli.entry import entry_point, run  # noqa: E402
from src.run.checkpoints import find_checkpoints  # noqa: E402
from src.utils.errors import UserError  # noqa: E402
from src.utils.files import shown_path  # noqa: E402

if TYPE_CHECKING:
    from src.evaluation.predict import Prediction
    from src.models.ensemble import Predictor

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../configs", config_name="predict")
@entry_point
def main(config: DictConfig) -> None:
    ckpt_path, *others = find_checkpoints(config)
    if config.input and config.data.data_dir:
        raise UserError("input and data.data_dir: both given; give one of them")
    source = config.input or config.data.data_dir
    if not source:
        raise UserError("input: not given; give a sound file, a folder of them, or a VIMH directory")
    if config.channel not in (None, "mix", "left", "right"):
        raise UserError(f"channel: '{config.channel}' given; give mix, left or right")
    from src.cli.instantiate import apply_extras
    from src.data.fetch import fetch
    from src.data.info import read_spec
    from src.data.paths import to_location
    from src.evaluation.evaluate import load_others
    from src.evaluation.features import features_of_dataset, features_of_files, write_features
    from src.evaluation.map_files import write_maps
    from src.evaluation.predict import predict_dataset, predict_files, sound_files, write_predictions
    from src.evaluation.recordings import parse_segmentation, predict_recordings
    from src.evaluation.refinement.answers import make_refiner
    from src.evaluation.refinement.options import parse_options
    from src.evaluation.tables import print_predictions, print_segments
    from src.models.build import load_checkpoint
    from src.models.ensemble import Ensemble
    from src.models.tasks.parameters import parameters_of, predicts_parameters
    from src.models.tasks.segment import predicts_maps

    apply_extras(config)
    segmentation = parse_segmentation(config) if config.segment is not None else None
    options = parse_options(config)
    model = load_checkpoint(ckpt_path, config.trust)
    predictor: Predictor = model
    if others:
        predictor = Ensemble([model, *load_others(model, others, config.trust)])
    source, output_dir = fetch(to_location(source, config.paths.cache_dir)), Path(config.paths.output_dir)
    is_dataset = (source / "vimh_dataset_info.json").is_file()
    if segmentation and (is_dataset or not predicts_parameters(model)):
        cause = "input is a dataset" if is_dataset else "this model predicts no parameters"
        raise UserError(f"segment: {config.segment} given, but {cause}; give segment=null")
    explainer, refiner = None, None
    if config.explain:
        if others:
            raise UserError("ensemble: given with explain, which needs a single model; give ckpt_path instead")
        from src.evaluation.explain_sounds import explain_dataset, make_explainer, require_explainable

        require_explainable(model)
        explainer = None if is_dataset else make_explainer(model, output_dir)
    if options is not None:
        refiner = make_refiner(model, read_spec(source) if is_dataset else model.spec, options, config.trust)
    render_dir = output_dir if config.render else None
    predictions: list[Prediction] = []
    segments: dict[str, list[Prediction]] = {}
    faults: list[str] = []
    if predicts_maps(model):
        if is_dataset:
            raise UserError("input: a VIMH dataset has no maps; give sounds, or test the model with src/eval.py")
        faults = write_maps(model, sound_files(source), config.channel, output_dir)
    elif not predicts_parameters(model):
        if is_dataset:
            features = features_of_dataset(model, source)
        else:
            features, faults = features_of_files(model, sound_files(source), config.channel)
        if features:
            log.info("features of %d sounds: %s", len(features), shown_path(write_features(features, output_dir)))
    elif is_dataset:
        predictions = predict_dataset(predictor, source, refiner)
        if config.explain:
            explain_dataset(model, source, output_dir)
    elif segmentation:
        paths = sound_files(source)
        segments, faults = predict_recordings(
            predictor, paths, config.channel, segmentation, render_dir, config.trust, refiner, explainer
        )
        predictions = [one for found in segments.values() for one in found]
    else:
        paths = sound_files(source)
        predictions, faults = predict_files(
            predictor, paths, config.channel, render_dir, config.trust, refiner, explainer
        )
    for fault in faults:
        log.error(fault)
    if predictions:
        heads = parameters_of(model)
        write_predictions(predictions, heads.space, output_dir)
        calibrated_on = int(heads.calibration.samples)
        typical = [] if others else heads.typical  # the spread of an ensemble differs between sounds
        for name, found in segments.items():
            print_segments(name, found, heads.space, calibrated_on, typical)
        if not segments:
            print_predictions(predictions, heads.space, calibrated_on, typical)
        log.info("predictions%s: %s", " and sounds" if config.render and not is_dataset else "", shown_path(output_dir))
    if faults:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
