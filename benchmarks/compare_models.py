"""Train every model config on the same data and print one table, beside answers that need no training.

    python benchmarks/compare_models.py                                 # all of them, two seeds, two datasets: an hour
    python benchmarks/compare_models.py --models cnn_64k vit_38k --epochs 3 --seeds 1        # a quick look: `make ca`

The error is the mean over heads of MAE / range, in percent, on the test split, of the last weights (nothing
is selected, so validation plays no part). Each run is one process with one thread. With `--keep FILE` finished runs are
read from it, and added to it, so that a comparison can be interrupted; `--readme` puts the tables into the README, and
the figures into the models' configs.
"""

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import mean, stdev

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from backbones import named_models
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from readme import update_readme
from rich.console import Console
from rich.table import Table

from src.utils.files import write_whole

HEADS = sorted(path.stem for path in (ROOT / "configs/heads").glob("*.yaml"))
SYNTHS = ("simple_saw", "moog_basic")
BATCH_SIZE = 32  # small batches are what suits the norm-free networks


def run_one(model: str, synth: str, size: int, epochs: int, seed: int, heads: str) -> dict:
    """Train and test one model; return its figures."""
    import torch
    from bare import bare_trainer
    from generation import recipe_of
    from lightning import seed_everything

    from src.data.vimh_datamodule import VIMHDataModule
    from src.evaluation.architecture import describe_layers
    from src.models.build import build_model
    from src.utils.instantiate import quiet_lightning

    quiet_lightning()
    torch.set_num_threads(1)
    seed_everything(seed, verbose=False)
    data = VIMHDataModule(recipe=recipe_of(synth, size), root=ROOT / "data", batch_size=BATCH_SIZE, seed=seed)
    module = build_model(config_of(model, heads), data.spec)
    trainer = bare_trainer(epochs)
    began = time.process_time()  # of one thread; what else the machine does counts little
    trainer.fit(module, datamodule=data)
    seconds = (time.process_time() - began) / epochs
    figures = trainer.test(module, datamodule=data, verbose=False)[0]
    ranges = {one.name: one.max - one.min for one in data.spec.space}
    image = torch.zeros(1, *data.spec.image_shape)
    return {
        "parameters": sum(one.numel() for one in module.parameters()),
        "multiply_adds": sum(layer.multiply_adds for layer in describe_layers(module, image)),
        "epoch_seconds": seconds,
        "nmae": figures["test/nmae"],
        "heads": {name: figures[f"test/{name}_mae"] / span for name, span in ranges.items()},
    }


def run_baselines(synth: str, size: int) -> dict[str, dict]:
    """Return what the mean, nearest neighbours and, where there is one, the closed form reach."""
    import numpy as np
    import torch
    from baselines import choose_k, closed_form_decay, load_split, nearest_neighbours, predict_mean
    from generation import recipe_of

    from src.data.vimh_datamodule import VIMHDataModule

    data = VIMHDataModule(recipe=recipe_of(synth, size), root=ROOT / "data")
    space = data.spec.space
    splits = {split: load_split(data.data_dir, split) for split in ("train", "val", "test")}
    images, labels = splits["test"]
    truth = space.denormalize(labels.numpy())

    def figures(unit: torch.Tensor) -> dict:
        error = np.abs(space.denormalize(unit.numpy()) - truth).mean(axis=0) / (space.max - space.min)
        return {"nmae": float(error.mean()), "heads": dict(zip(space.names, error.tolist(), strict=True))}

    k, _ = choose_k(*splits["train"], *splits["val"])
    results = {
        "predict the mean": figures(predict_mean(splits["train"][1], len(labels))),
        f"{k} nearest neighbours": figures(nearest_neighbours(*splits["train"], images, k)),
    }
    column = space.index("log10_decay_time")
    decay = closed_form_decay((images.numpy() * 255.0).round().astype(np.uint8), data.spec)
    error = np.abs(np.clip(decay, space.min[column], space.max[column]) - truth[:, column]).mean()
    share = float(error / (space.max - space.min)[column])
    return results | {"closed form": {"nmae": None, "heads": {"log10_decay_time": share}}}


def key_of(model: str, synth: str, size: int, epochs: int, seed: int, heads: str) -> str:
    """Return what identifies a run in a file of results; another config is another run."""
    text = json.dumps(config_of(model, heads), sort_keys=True)
    return f"{model} {sha256(text.encode()).hexdigest()[:8]} {synth} {size} clips {epochs} epochs seed {seed}"


@cache
def config_of(model: str, heads: str) -> dict:
    """Return a model's config as plain containers."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return OmegaConf.to_container(compose("train", [f"model={model}", f"heads={heads}"]).model, resolve=True)


def compare(arguments: argparse.Namespace) -> dict[str, dict]:
    """Run all that is asked for, in processes; return the figures by key."""
    store = Path(arguments.keep) if arguments.keep else None
    done = json.loads(store.read_text()) if store and store.exists() else {}
    for synth in arguments.synths:
        key = f"baselines {synth} {arguments.size} clips"
        if key not in done:
            done[key] = run_baselines(synth, arguments.size)
    runs = [
        (model, synth, arguments.size, arguments.epochs, seed, arguments.heads)
        for seed in range(arguments.seeds)
        for synth in arguments.synths
        for model in arguments.models
    ]
    console = Console(stderr=True)
    pool = ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn"))
    try:
        waiting = {pool.submit(run_one, *run): key_of(*run) for run in runs if key_of(*run) not in done}
        for future in as_completed(waiting):
            key = waiting[future]
            done[key] = future.result()
            console.print(f"{key}: {100 * done[key]['nmae']:.3g} %, {done[key]['epoch_seconds']:.2g} s an epoch")
            if store:
                write_whole(store, (json.dumps(done, indent=1) + "\n").encode())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after a failure or Ctrl-C the other runs are not waited for
    return done


def runs_of(arguments: argparse.Namespace, done: dict[str, dict], model: str, synth: str) -> list[dict]:
    """Return the figures of a model's finished runs."""
    seeds = range(arguments.seeds)
    keys = [key_of(model, synth, arguments.size, arguments.epochs, seed, arguments.heads) for seed in seeds]
    return [done[key] for key in keys if key in done]


def update_headers(arguments: argparse.Namespace, done: dict[str, dict]) -> None:
    """Put what each model reaches into the second line of its config."""
    neighbours = [done[f"baselines {synth} {arguments.size} clips"] for synth in arguments.synths]
    floor = ", ".join(
        f"{100 * one['nmae']:.2g}" for found in neighbours for name, one in found.items() if "neighbours" in name
    )
    for model in arguments.models:
        errors = [
            f"{100 * mean(run['nmae'] for run in runs_of(arguments, done, model, synth)):#.2g} %"
            for synth in arguments.synths
        ]
        reached = f"{errors[0]} of the range on {arguments.synths[0]}, {errors[1]} on {arguments.synths[1]}"
        path = ROOT / "configs/model" / f"{model}.yaml"
        lines = path.read_text().splitlines(keepends=True)
        lines[1] = f"# {arguments.epochs} epochs of {arguments.size:,} clips: {reached} (nearest neighbours {floor}).\n"
        write_whole(path, "".join(lines).encode())


def rows(arguments: argparse.Namespace, done: dict[str, dict], synth: str) -> list[list[str]]:
    """Return a synth's table: a row a baseline, then a row a model, best first."""
    table = []
    for name, figures in done[f"baselines {synth} {arguments.size} clips"].items():
        error = "" if figures["nmae"] is None else f"{100 * figures['nmae']:.3g}"
        table.append([name, "", "", "", error, ", ".join(f"{100 * one:.2g}" for one in figures["heads"].values())])
    scored = []
    for model in arguments.models:
        runs = runs_of(arguments, done, model, synth)
        if not runs:
            continue
        errors = [100 * run["nmae"] for run in runs]
        spread = f" +- {stdev(errors):.1g}" if len(errors) > 1 else ""
        heads = [f"{100 * mean(run['heads'][name] for run in runs):.2g}" for name in runs[0]["heads"]]
        size = [f"{runs[0]['parameters']:,}", f"{runs[0]['multiply_adds'] / 1e6:.2f}"]
        seconds = f"{mean(run['epoch_seconds'] for run in runs):.2g}"
        scored.append((mean(errors), [model, *size, seconds, f"{mean(errors):.3g}{spread}", ", ".join(heads)]))
    return table + [row for _, row in sorted(scored)]


def markdown(arguments: argparse.Namespace, done: dict[str, dict]) -> str:
    """Return all tables for the README."""
    tables = []
    for synth in arguments.synths:
        names = headings(synth)
        lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
        tables.append("\n".join(lines + [f"| {' | '.join(row)} |" for row in rows(arguments, done, synth)]))
    return "\n\n".join(tables)


def headings(synth: str) -> list[str]:
    """Return the columns' names."""
    return [synth, "parameters", "M multiply-adds", "CPU s an epoch", "error, % of range", "by head"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=named_models(), choices=named_models(), metavar="MODEL")
    parser.add_argument("--synths", nargs="+", default=list(SYNTHS), choices=SYNTHS)
    parser.add_argument("--heads", default="regression", choices=HEADS)
    parser.add_argument("--size", type=int, default=16384, help="clips")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--keep", help="JSON file of finished runs")
    parser.add_argument("--readme", action="store_true", help="put the tables into the README")
    arguments = parser.parse_args()
    partial = [name for name in ("models", "synths", "heads", "size", "epochs", "seeds")
               if getattr(arguments, name) != parser.get_default(name)]  # fmt: skip
    if arguments.readme and partial:
        parser.error(f"--readme publishes the whole comparison; leave out --{', --'.join(partial)}")
    done = compare(arguments)
    if arguments.readme:
        update_readme("models", markdown(arguments, done))
        update_headers(arguments, done)
    for synth in arguments.synths:
        table = Table(*headings(synth))
        for row in rows(arguments, done, synth):
            table.add_row(*row)
        Console(width=None if Console().is_terminal else 160).print(table)


if __name__ == "__main__":
    main()
