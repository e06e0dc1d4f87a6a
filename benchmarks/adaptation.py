"""Adapt a model to sounds of another synth, without labels: what one hears before, after, and after refinement.

    python benchmarks/adaptation.py                                              # an hour
    python benchmarks/adaptation.py --synth simple_saw --size 512 --epochs 3 --sounds 64 --seeds 1     # a minute

A model is trained on labels of a synth, then adapted to recordings of a synth with a naive oscillator and three times
the drive. `mss` and `lsd` compare the sounds of its predictions with recordings that are held out from all training,
see docs/audio_metrics.md. The errors of the parameters, MAE / range in percent, are beside them: the parameters that
sound most alike need not be the true ones.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from bare import bare_trainer
from generation import recipe_of
from lightning import seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from readme import update_block
from sound_training import HEARD, REFINED, model_config

from src.cli.instantiate import quiet_lightning
from src.data.recipe import parse_recipe
from src.data.recordings_datamodule import RecordingsDataModule
from src.data.source import Source, load_source
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.metrics.table import METRICS
from src.evaluation.refinement.answers import make_refiner
from src.evaluation.refinement.options import Options
from src.models.build import build_model
from src.models.heads.multi_head import Estimates
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.audio_file import write_clip
from src.utils.table import Column, markdown

OTHER = {"oscillator": "naive", "drive": 1.5}
SEED_OF_RECORDINGS = 1


def measure(source: Source, audio: np.ndarray, values: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return the audio metrics of predictions (n, P) for recordings (n, T), then the parameters' errors in percent."""
    predicted = torch.from_numpy(source.sounds(values))
    rate = source.front_end.sample_rate
    heard = [float(METRICS[name].function(predicted, torch.from_numpy(audio), rate).mean()) for name in HEARD]
    space = source.synth.space
    return [*heard, *(100 * np.abs(values - truth).mean(axis=0) / (space.max - space.min))]


def answers(model: VIMHLitModule, source: Source, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted and refined values (n, P) of recordings (n, T)."""
    model.eval()
    with torch.inference_mode():
        images, scale = source.front_end(torch.from_numpy(audio))
        found = model.predict(images, scale)
    estimates = Estimates(*(column.double().numpy() for column in found))
    refiner = make_refiner(model, model.spec, Options(iterations=REFINED))
    refined, _ = refiner.refine(estimates, images.numpy(), scale.numpy(), recorded=True)
    return estimates.values, refined.values


def run_one(options: argparse.Namespace, seed: int) -> dict[str, list[float]]:
    """Train and adapt a model; return the figures of each row of the table, on recordings held out from both."""
    seed_everything(seed, verbose=False)
    recipe = recipe_of(options.synth, options.size)
    source = load_source(parse_recipe(recipe))
    other = load_source(parse_recipe({**recipe, "synth": {**recipe["synth"], "settings": OTHER}}))
    truth = source.synth.space.sample(SEED_OF_RECORDINGS + seed, 0, 2 * options.sounds)
    audio = other.sounds(truth)
    audio /= max(1.0, np.abs(audio).max())  # so that no file is scaled down alone

    data = VIMHDataModule(recipe=recipe, root=options.data, batch_size=32, seed=seed)
    model = build_model(model_config(options.model, "labels", options.epochs), data.spec)
    bare_trainer(options.epochs).fit(model, datamodule=data)
    bare_trainer(0, limit_val_batches=1.0).validate(model, datamodule=data, verbose=False)  # calibrates uncertainties
    config = model_config(options.model, "render_only", options.epochs)
    config["optimizer"] |= {"lr": 0.0005}  # as in experiment=adapt_to_recordings
    adapted = build_model(config, data.spec)
    adapted.load_state_dict(model.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        for number, sound in enumerate(audio[: options.sounds]):
            write_clip(Path(folder) / f"{number}.wav", sound, source.front_end.sample_rate)
        recordings = RecordingsDataModule(folder, batch_size=32)
        recordings.describe(data.spec, data.settings)
        stop = EarlyStopping("val/sound_loss", patience=8)
        bare_trainer(options.epochs, limit_val_batches=1.0, callbacks=[stop]).fit(adapted, datamodule=recordings)

    held_out, wanted = audio[options.sounds :], truth[options.sounds :]
    rows = {"true parameters": measure(source, held_out, wanted, wanted)}
    for label, one in (("before", model), ("adapted", adapted)):
        network, refined = answers(one, source, held_out)
        rows[label] = measure(source, held_out, network, wanted)
        rows[f"{label}, refined x {REFINED}"] = measure(source, held_out, refined, wanted)
    return rows


def table_of(names: Sequence[str], runs: list[dict[str, list[float]]]) -> str:
    """Return the mean of each figure over the runs and its standard deviation."""
    columns = [Column("", text=True), *(Column(name) for name in names)]
    lines = []
    for label in runs[0]:
        figures = np.array([run[label] for run in runs])
        lines.append([label, *(f"{one.mean():.3g} ± {one.std():.1g}" for one in figures.T)])
    return markdown(columns, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synth", default="moog_basic")
    parser.add_argument("--model", default="cnn_tiny")
    parser.add_argument("--size", type=int, default=16384, help="clips of the first training")
    parser.add_argument("--epochs", type=int, default=30, help="of the first training, and at most of the adaptation")
    parser.add_argument("--sounds", type=int, default=512, help="recordings; as many more are held out from all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default=str(ROOT / "data"), help="where datasets are, or are made")
    parser.add_argument("--readme", action="store_true", help="write the table between its markers in docs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    quiet_lightning()
    names = load_source(parse_recipe(recipe_of(options.synth, options.size))).synth.space.names
    table = table_of((*HEARD, *names), [run_one(options, seed) for seed in range(options.seeds)])
    print(table)
    if options.readme:
        update_block("adaptation", table)


if __name__ == "__main__":
    main()
