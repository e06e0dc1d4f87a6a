"""What refining a network's answers reaches: python benchmarks/refinement.py --runs /tmp/runs

Trains a network for each synth unless its run is there already, predicts sounds of the test split, and refines them on
byte images, on unrounded images, and on unrounded images with white noise. Each finished row is kept in
benchmarks/refinement.json, and the table is written into docs.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from readme import update_block

from src.data.dataset import images_to_float
from src.data.source import Source
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.refinement.answers import Refiner, make_refiner
from src.evaluation.refinement.options import Options
from src.models.build import load_checkpoint
from src.models.heads.multi_head import Estimates
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.files import write_atomic
from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/refinement.json"
EXPERIMENTS = {
    "simple_saw": "simple_saw_16k",
    "moog_basic": "moog_basic_fast",
    "moog_resonance": "moog_resonance",
    "moog_envelope": "moog_envelope_regression",
}
_NOISE_DB = {"40 dB noise": 40.0, "20 dB noise": 20.0}
_IMAGES = ("bytes", "floats", *_NOISE_DB)
_ITERATIONS = (1, 3, 5, 10)


def trained(synth: str, runs: Path) -> tuple[VIMHLitModule, Path]:
    """Return a synth's trained network and its dataset's directory; train it if its run is missing."""
    folder = runs / EXPERIMENTS[synth]
    checkpoint, data = folder / "checkpoints/best.ckpt", runs / "data"
    if not (folder / "test_results.json").exists():
        shutil.rmtree(folder, ignore_errors=True)  # a run that did not end
        places = (f"hydra.run.dir={folder}", f"paths.data_dir={data}", f"paths.log_dir={runs / 'logs'}")
        command = [sys.executable, "src/train.py", f"experiment={EXPERIMENTS[synth]}", "trainer=cpu", *places]
        subprocess.run([*command, "extras.num_threads=1"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    model = load_checkpoint(checkpoint)
    return model, data / model.spec.name


def images_of(source: Source, kind: str, dataset: VIMHDataset, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images in [0, 1] and dB ranges of the first sounds, as stored, or of their sounds with noise."""
    if kind == "bytes":
        batch = dataset.__getitems__(np.arange(len(values)))
        return images_to_float(batch["image"]).numpy(), batch["scale"].numpy()
    if kind == "floats":
        return source.float_images(values)
    sounds = source.sounds(values)
    level = np.sqrt(np.square(sounds).mean(axis=1, keepdims=True)) * 10.0 ** (-_NOISE_DB[kind] / 20.0)
    noise = np.random.default_rng(0).standard_normal(sounds.shape)
    with torch.inference_mode():
        images, scale = source.front_end(torch.from_numpy((sounds + level * noise).astype(np.float32)))
    return images.numpy(), scale.numpy()


def predicted(model: VIMHLitModule, source: Source, kind: str, images: np.ndarray, scale: np.ndarray) -> Estimates:
    """Return the network's estimates, arrays (n, P), of images rounded to bytes, on which it was trained."""
    levels = source.front_end.to_bytes(torch.from_numpy(images))
    with torch.inference_mode():
        found = model.predict(images_to_float(levels), torch.from_numpy(scale))
    return Estimates(*(column.numpy().astype(np.float64) for column in found))


def measure(model: VIMHLitModule, directory: Path, kind: str, count: int) -> list[dict[str, Any]]:
    """Return a row for the network and for each number of iterations: errors in % of range, means and medians."""
    dataset = VIMHDataset(directory, "test")
    space = model.spec.space
    truth = dataset.targets()[:count].astype(np.float64)
    refiner = make_refiner(model, model.spec, Options(iterations=1))
    images, scale = images_of(refiner.source, kind, dataset, space.denormalize(truth))
    network = predicted(model, refiner.source, kind, images, scale)
    rows = [row_of("network", space.normalize(network.values), truth)]
    for iterations in _ITERATIONS:
        residual = "magnitude" if kind in _NOISE_DB else "db"
        again = Refiner(refiner.source, refiner.steps, Options(iterations=iterations, residual=residual))
        began = time.process_time()
        _, refined = again.refine(network, images, scale, recorded=kind != "bytes")
        used = time.process_time() - began
        row = row_of(f"{iterations}", refined.unit, truth)
        inside = np.abs(refined.unit - truth) < np.array([[1.0], [1.645]])[:, :, None] * refined.sd
        row["rms"] = float(np.median(refined.rms_after))
        row["below_half_a_level"] = float((refined.rms_after < 0.5).mean())
        row["inside_68"], row["inside_90"] = inside.mean(axis=(1, 2)).tolist()
        row["milliseconds"] = 1000.0 * used / count
        rows.append(row)
    return rows


def row_of(what: str, unit: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    error = 100.0 * np.abs(unit - truth)
    within = float((error < 100.0 / 510.0).all(axis=1).mean())
    return {"what": what, "mean": error.mean(0).tolist(), "median": np.median(error, 0).tolist(), "half_a_byte": within}


def table(done: dict[str, Any]) -> str:
    """Return all results as Markdown."""
    columns = [Column("synth", text=True), Column("images", text=True), Column("steps", text=True)]
    columns += [Column("mean error, % of range"), Column("median"), Column("all in half a byte"), Column("CPU ms")]
    lines = []
    for synth in EXPERIMENTS:
        for kind in _IMAGES:
            for row in done.get(f"{synth}, {kind}", {}).get("rows", []):
                figures = [" / ".join(f"{error:.2g}" for error in row[key]) for key in ("mean", "median")]
                cost = f"{row['milliseconds']:.1f}" if "milliseconds" in row else ""
                lines.append([synth, kind, row["what"], *figures, f"{row['half_a_byte']:.0%}", cost])
    return markdown(columns, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="a folder for the trained networks and their data")
    parser.add_argument("--count", type=int, default=512, help="sounds of the test split")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS), help="these synths")
    parser.add_argument("--again", action="store_true", help="also rows that are there already")
    given = parser.parse_args()
    torch.set_num_threads(1)
    done = json.loads(STORE.read_text()) if STORE.exists() else {}
    for synth in given.only:
        model, directory = trained(synth, given.runs.resolve())
        for kind in _IMAGES:
            key = f"{synth}, {kind}"
            if key in done and not given.again:
                continue
            done[key] = {
                "count": given.count,
                "names": model.spec.space.names,
                "rows": measure(model, directory, kind, given.count),
            }
            write_atomic(STORE, (json.dumps(done, indent=1) + "\n").encode())
            print(
                key,
                *(f"{row['what']}: {np.round(row['mean'], 4)}" for row in done[key]["rows"]),
                sep="\n  ",
                flush=True,
            )
    update_block("refinement", table(done))


if __name__ == "__main__":
    main()
