"""How well a model recognises sounds unlike its training sounds: python benchmarks/ood.py

    python benchmarks/ood.py --epochs 2 --size 4096 --seeds 1 --keep /tmp/look.json     # a minute

For each synth, kind of head and seed, a network is trained, and the distances of the test split are compared with those
of other sounds: the area under the ROC curve, and the share of sounds above the limit, of which predict.py warns.
`energy` is the sum over heads of -log sum exp of the logits (Liu et al., arXiv 2010.03759), for comparison. The table
is written into docs unless --keep is given.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from calibration import trained
from generation import recipe_of
from readme import update_block
from sklearn.metrics import roc_auc_score

from src.cli.instantiate import quiet_lightning
from src.data.dataset import load_batch
from src.data.recipe import parse_recipe
from src.data.source import Source, load_source
from src.evaluation.predict import clip_image, make_front_end
from src.models.tasks.parameters import parameters_of
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.files import write_atomic
from src.utils.table import Column, markdown, show

STORE = ROOT / "benchmarks/ood.json"
SYNTHS = {"moog_basic": "simple_saw", "simple_saw": "moog_basic"}  # each with another one
HEADS = ("regression", "classification")
COUNT = 1000  # sounds of each kind
SILENT = 20  # silent clips: all are equal
LATE = 0.05  # s
TEST = "test split"


def source_of(synth: str, semitones: float = 0.0) -> Source:
    recipe = recipe_of(synth, 64)
    recipe["synth"]["parameters"]["note_number"]["value"] += semitones
    return load_source(parse_recipe(recipe))


def unlike(synth: str) -> dict[str, np.ndarray]:
    """Return sounds (n, T) by what is unlike the training sounds in them."""
    own, other, random = source_of(synth), source_of(SYNTHS[synth]), np.random.default_rng(0)
    values = own.synth.space.sample(1, 0, COUNT)  # seed 1: not the dataset's sounds
    sounds, late = own.sounds(values), round(LATE * own.synth.config.sample_rate)
    rms = np.sqrt(np.square(sounds).mean(axis=1, keepdims=True))
    noise = random.standard_normal(sounds.shape) * rms
    return {
        "white noise": noise,
        "silence": np.zeros((SILENT, sounds.shape[1])),
        "another synth": other.sounds(other.synth.space.sample(1, 0, COUNT)),
        "3 semitones up": source_of(synth, 3.0).sounds(values),
        "50 ms late": np.pad(sounds, ((0, 0), (late, 0)))[:, : sounds.shape[1]],
        "-12 dB": sounds * 10.0 ** (-12 / 20),
        "noise at -20 dB": sounds + noise * 10.0 ** (-20 / 20),
        "noise at -40 dB": sounds + noise * 10.0 ** (-40 / 20),
    }


def scores(model: VIMHLitModule, image: torch.Tensor, scale: torch.Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances and the energies (B,) of images."""
    with torch.inference_mode():
        features = model.features(image, scale)
        outputs = parameters_of(model)(features)
        energy = -sum(logits.logsumexp(dim=1) for logits in outputs.values())
    return model.distances(image, features).numpy(), energy.numpy()


def measure(heads: str, synth: str, size: int, epochs: int, seed: int) -> dict[str, dict[str, float]]:
    """Train one model; return by kind of sound both areas under the ROC curve and the share of warnings."""
    model, data = trained(heads, synth, size, epochs, seed)
    test, front_end = data.dataset("test"), make_front_end(model.spec)
    batch = load_batch(test, np.arange(len(test)), next(model.parameters()))
    usual = scores(model, batch["image"], batch.get("scale"))
    rows = {TEST: {"warned": float((usual[0] > 1).mean())}}
    for name, sounds in unlike(synth).items():
        images, scale = zip(*(clip_image(front_end, one.astype(np.float32)) for one in sounds), strict=True)
        found = scores(model, torch.cat(images), torch.cat(scale))
        is_unlike = np.repeat([0, 1], [len(test), len(sounds)])
        areas = [roc_auc_score(is_unlike, np.concatenate(pair)) for pair in zip(usual, found, strict=True)]
        rows[name] = {"auroc": areas[0], "energy": areas[1], "warned": float((found[0] > 1).mean())}
    return rows


def table(content: dict[str, Any]) -> tuple[list[Column], list[list[str]]]:
    """Return for each synth and kind of sound the least area over heads and seeds, and the mean share of warnings."""
    columns = [Column("synth", text=True), Column("sounds", text=True), Column("AUROC"), Column("warned")]
    columns.append(Column("AUROC, energy"))
    lines = []
    for synth, runs in content["runs"].items():
        for name in next(iter(runs.values())):
            figures = [rows[name] for rows in runs.values()]
            warned = f"{100 * statistics.mean(one['warned'] for one in figures):.1f} %"
            if name == TEST:
                lines.append([synth, name, "-", warned, "-"])
                continue
            energies = [rows[name]["energy"] for run, rows in runs.items() if run.startswith("classification")]
            cells = [_span([one["auroc"] for one in figures]), warned, _span(energies) if energies else "-"]
            lines.append([synth, name, *cells])
    return columns, lines


def _span(areas: list[float]) -> str:
    low, high = f"{min(areas):.3f}", f"{max(areas):.3f}"
    return low if low == high else f"{low} to {high}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20480)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, default=STORE)
    arguments = parser.parse_args()
    quiet_lightning()
    torch.set_num_threads(1)
    content: dict[str, Any] = {"settings": {key: getattr(arguments, key) for key in ("size", "epochs", "seeds")}}
    content["runs"] = {synth: {} for synth in SYNTHS}
    for seed in range(arguments.seeds):
        for synth in SYNTHS:
            for heads in HEADS:
                rows = measure(heads, synth, arguments.size, arguments.epochs, seed)
                content["runs"][synth][f"{heads} {seed}"] = rows
                write_atomic(arguments.keep, (json.dumps(content, indent=1) + "\n").encode())
    columns, lines = table(content)
    note = (
        f"cnn_micro, {arguments.size:,} clips, {arguments.epochs} epochs, {' and '.join(HEADS)} heads, "
        f"{arguments.seeds} seeds: the range over them of the AUROC, and the mean share of warnings"
    )
    show(columns, lines, caption=note)
    if arguments.keep == STORE:
        update_block("ood", f"{markdown(columns, lines)}\n\n{note}.")


if __name__ == "__main__":
    main()
