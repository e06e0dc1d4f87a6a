"""What training on sound changes: labels only, labels and sound, sound only, and the PNP loss, on the same data.

    python benchmarks/sound_training.py                                          # hours: 16,384 clips, 3 seeds
    python benchmarks/sound_training.py --synths simple_saw --size 512 --epochs 3 --seeds 1 --test 64    # a minute

Each row is the mean and the standard deviation over the seeds on the test split, with the weights of the last epoch,
and below it the same after 3 iterations of refinement. Errors of parameters are MAE / range in percent. `mss` and `lsd`
compare the sounds of predicted and true parameters, see docs/audio_metrics.md; `CPU s` is the time of training. With
`--keep FILE` finished runs are read from the file and added to it. `--readme` writes the tables between their markers
in docs.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from bare import bare_trainer
from generation import recipe_of
from hydra import compose, initialize_config_dir
from lightning import seed_everything
from readme import update_block

from src.cli.instantiate import quiet_lightning
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.metrics.table import METRICS
from src.evaluation.predict import estimate_dataset
from src.evaluation.refinement.answers import make_refiner, refine_dataset
from src.evaluation.refinement.options import Options
from src.models.build import build_model
from src.parameters.space import ParameterSpace
from src.utils.files import write_atomic
from src.utils.plain import to_plain
from src.utils.table import Column, markdown

LOSSES = {"labels only": "labels", "labels + sound": "render", "sound only": "render_only", "PNP": "pnp"}
HEARD = ("mss", "lsd")
REFINED = 3  # iterations
BATCH_SIZE = 32


def model_config(model: str, loss: str, epochs: int) -> dict:
    """Return a model's config; a schedule of the sound's weight takes the second third of the epochs."""
    given = [f"model={model}", f"loss={loss}", "paths.output_dir=."]
    if loss == "render":
        third = max(1, epochs // 3)
        given += [f"model.task.from_epoch={third}", f"model.task.ramp_epochs={third}"]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return to_plain(compose("train", given).model)


def run_one(synth: str, loss: str, seed: int, options: argparse.Namespace) -> dict:
    """Train one model; return its errors on the first test sounds, as predicted and after refinement."""
    seed_everything(seed, verbose=False)
    recipe = recipe_of(synth, options.size)
    data = VIMHDataModule(recipe=recipe, root=options.data, batch_size=BATCH_SIZE, seed=seed)
    module = build_model(model_config(options.model, loss, options.epochs), data.spec)
    trainer = bare_trainer(options.epochs)
    began = time.process_time()
    trainer.fit(module, datamodule=data)
    seconds = time.process_time() - began
    bare_trainer(0, limit_val_batches=1.0).validate(module, datamodule=data, verbose=False)  # calibrates uncertainties
    test = data.dataset("test")
    refiner = make_refiner(module, data.spec, Options(iterations=REFINED))
    estimates = estimate_dataset(module, test)
    refined, _ = refine_dataset(refiner, test, estimates)
    truth = data.spec.space.denormalize(test.targets())
    rows = slice(0, options.test)
    found: dict[str, Any] = {"seconds": seconds}
    for name, answers in (("network", estimates), ("refined", refined)):
        found[name] = errors(data.spec.space, refiner.source, answers.values[rows], truth[rows])
    return found


def errors(space: ParameterSpace, source, values: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return each parameter's mean error in percent of its range, and what is heard."""
    found = dict(zip(space.names, (100 * np.abs(values - truth).mean(axis=0) / (space.max - space.min)), strict=True))
    predicted, true = (torch.from_numpy(source.sounds(one)) for one in (values, truth))
    for name in HEARD:
        found[name] = METRICS[name].function(predicted, true, source.front_end.sample_rate).mean()
    return {name: float(value) for name, value in found.items()}


def table_of(synth: str, runs: dict[str, list[dict]]) -> str:
    """Return the table of a synth's runs, by loss."""
    names = list(next(iter(runs.values()))[0]["network"])
    columns = [Column("loss", text=True), *(Column(name) for name in names), Column("CPU s")]
    rows = []
    for loss, found in runs.items():
        for kind, label in (("network", loss), ("refined", f"... refined x {REFINED}")):
            figures = np.array([[one[kind][name] for name in names] for one in found])
            cells = [f"{column.mean():.3g} ± {column.std():.1g}" for column in figures.T]
            seconds = f"{np.mean([one['seconds'] for one in found]):.0f}" if kind == "network" else ""
            rows.append([label, *cells, seconds])
    return f"{synth}:\n\n{markdown(columns, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synths", nargs="+", default=["moog_basic", "moog_envelope"])
    parser.add_argument("--model", default="cnn_tiny")
    parser.add_argument("--size", type=int, default=16384, help="clips")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", type=int, default=512, help="test sounds that are compared")
    parser.add_argument("--data", default=str(ROOT / "data"), help="where datasets are, or are made")
    parser.add_argument("--keep", type=Path, help="a JSON file of finished runs")
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    quiet_lightning()
    kept = json.loads(options.keep.read_text()) if options.keep and options.keep.is_file() else {}
    tables = []
    for synth in options.synths:
        runs: dict[str, list[dict]] = {}
        for label, loss in LOSSES.items():
            for seed in range(options.seeds):
                key = f"{synth} {options.model} {options.size} {options.epochs} {options.test} {loss} {seed}"
                if key not in kept:
                    kept[key] = run_one(synth, loss, seed, options)
                    if options.keep:
                        write_atomic(options.keep, (json.dumps(kept, indent=1) + "\n").encode())
                runs.setdefault(label, []).append(kept[key])
        tables.append(table_of(synth, runs))
        print(tables[-1], flush=True)
    if options.readme:
        update_block("sound_training", "\n\n".join(tables))


if __name__ == "__main__":
    main()
