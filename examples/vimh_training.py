"""Show a dataset, train on it, and plot the predictions of the model: `--demo --save-plots`."""

import argparse
import tempfile

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from hydra import compose, initialize_config_dir
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from src.cli.instantiate import quiet_lightning
from src.cli.script import given_path, run_script
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.evaluate import evaluate, require_same_targets
from src.evaluation.plots import histogram_figure, save_figure, scatter_figure
from src.evaluation.reports.dataset.page import write_dataset_page
from src.evaluation.split_outputs import predict_values
from src.evaluation.tables import print_evaluation
from src.models.build import build_model, load_checkpoint
from src.train import check, train
from src.utils.files import write_atomic
from src.utils.plain import to_plain


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="make a small simple_saw dataset")
    parser.add_argument("--data-dir", type=given_path, help="a VIMH directory")
    parser.add_argument("--max-epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--analyze-only", action="store_true", help="show the data, then stop")
    parser.add_argument("--checkpoint", type=given_path, help="test this checkpoint instead of training")
    parser.add_argument("--save-plots", action="store_true", help="write a page of the dataset, and PNGs")
    parser.add_argument("--export-results", type=given_path, help="write the test results as JSON")
    parser.add_argument("--output-dir", type=given_path, default=ROOT / "logs/examples/vimh_training")
    arguments = parser.parse_args()
    if not arguments.demo and not arguments.data_dir:
        parser.error("give --demo, or --data-dir with a VIMH directory")
    return arguments


def main() -> None:
    arguments = parse()
    quiet_lightning()
    seed_everything(0, verbose=False)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", overrides=["dataset.size=1024", "model=cnn_micro"])
    recipe = {key: to_plain(config[key]) for key in ("synth", "spectral", "dataset")}
    data = VIMHDataModule(
        arguments.data_dir,
        arguments.batch_size,
        recipe=None if arguments.data_dir else recipe,
        root=ROOT / "data",
    )
    space, output = data.spec.space, arguments.output_dir
    print(f"{data.data_dir}: {data.spec.counts}, images (C, H, W) {data.spec.image_shape}")
    for spec in space:
        print(f"  {spec.name}: {spec.describe_range()}, {spec.num_classes} classes")
    dataset = data.dataset("train")
    values = space.denormalize(dataset.targets())
    if arguments.save_plots:
        output.mkdir(parents=True, exist_ok=True)
        splits = {split: data.dataset(split) for split in ("train", "val", "test")}
        write_dataset_page(splits, output / "dataset.html", data.trust)
        save_figure(histogram_figure(space, values), output / "parameters.png")
    if not arguments.analyze_only:
        evaluation, model = learn(arguments, config, data)
        print_evaluation(evaluation)
        test = data.dataset("test")
        if arguments.save_plots:
            predicted = predict_values(model, test, 1000)
            truth = space.denormalize(test.targets()[: len(predicted)])
            save_figure(scatter_figure(space, truth, predicted), output / "scatter.png")
        if arguments.export_results:
            write_atomic(arguments.export_results, evaluation.to_json())
    if arguments.save_plots:
        print(f"plots: {output}")


def learn(arguments: argparse.Namespace, config, data: VIMHDataModule):
    """Train a model, or load a checkpoint; return its evaluation and the model."""
    with tempfile.TemporaryDirectory() as folder:
        keep_best = ModelCheckpoint(folder, "best", config.monitor, enable_version_counter=False)
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=arguments.max_epochs,
            callbacks=[keep_best],
            logger=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
        )
        if arguments.checkpoint:
            model = load_checkpoint(arguments.checkpoint)
            require_same_targets(model.spec, data.spec)
            return evaluate(model, data, trainer), model
        model = build_model(to_plain(config.model), data.spec)
        check(data, model)
        evaluation = train(data, model, trainer)
        return evaluation, load_checkpoint(keep_best.best_model_path)


if __name__ == "__main__":
    run_script(main)
