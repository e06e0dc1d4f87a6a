"""Train every model config on the same data and print one table, together with baselines that need no training.

    python benchmarks/compare_models.py --jobs 8                        # every model, three seeds, two datasets
    python benchmarks/compare_models.py --models cnn_64k vit_38k --epochs 3 --seeds 1        # a quick check: `make ca`

The error is the mean over heads of MAE / range, in percent, on the test split, with the weights of the last epoch: no
checkpoint is selected, so validation is not used. Its 95 % interval covers the choice of the seed and that of the test
sounds, and the table shows which models do not differ. Each run is one process with one thread; all runs take about
1.5 hours on two cores. With `--keep FILE`, finished runs are read from the file and added to it, so that an interrupted
comparison can continue. `--readme` writes the tables between their markers in the README or docs, and each model's
errors into its config.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import mean

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from backbones import named_models
from differences import no_different, score
from hydra import compose, initialize_config_dir
from readme import update_block

from src.evaluation.intervals import rounded, written_interval
from src.utils.files import write_atomic
from src.utils.plain import to_plain
from src.utils.table import Column, markdown, show

HEADS = sorted(path.stem for path in (ROOT / "configs/heads").glob("*.yaml"))
SYNTHS = ("simple_saw", "moog_basic")
BATCH_SIZE = 32  # small batches suit the networks without normalisation
IN_README = ("cnn_micro", "vit_tiny", "convnext_288k")  # the smallest network, a ViT, the largest network
SEEDS = 3  # enough to estimate the spread between runs


def run_one(model: str, synth: str, size: int, epochs: int, seed: int, heads: str) -> dict:
    """Train and test one model; return its size, its seconds per epoch and its errors."""
    import torch
    from bare import bare_trainer
    from generation import recipe_of
    from lightning import seed_everything

    from src.cli.instantiate import quiet_lightning
    from src.data.vimh_datamodule import VIMHDataModule
    from src.evaluation.architecture import describe_layers
    from src.evaluation.evaluate import evaluate
    from src.models.build import build_model

    quiet_lightning()
    torch.set_num_threads(1)
    seed_everything(seed, verbose=False)
    data = VIMHDataModule(recipe=recipe_of(synth, size), root=ROOT / "data", batch_size=BATCH_SIZE, seed=seed)
    module = build_model(config_of(model, heads), data.spec)
    trainer = bare_trainer(epochs)
    began = time.process_time()  # CPU time of this process: other load on the machine matters little
    trainer.fit(module, datamodule=data)
    seconds = (time.process_time() - began) / epochs
    evaluation = evaluate(module, data, trainer)
    ranges = {parameter.name: parameter.max - parameter.min for parameter in data.spec.space}
    image = torch.zeros(1, *data.spec.image_shape)
    return {
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "multiply_adds": sum(layer.multiply_adds for layer in describe_layers(module, image)),
        "epoch_seconds": seconds,
        "nmae": evaluation.nmae,
        "nmae_interval": evaluation.nmae_interval,
        "heads": {row.name: row.mae / ranges[row.name] for row in evaluation.rows},
    }


def run_baselines(synth: str, size: int) -> dict[str, dict]:
    """Return the errors of the mean, of nearest neighbours and of the closed form for the decay time."""
    import numpy as np
    import torch
    from baselines import WEIGHTING, choose_k, closed_form_decay, load_split, nearest_neighbours, predict_mean
    from generation import recipe_of

    from src.data.vimh_datamodule import VIMHDataModule
    from src.evaluation.intervals import interval, resampled_means

    data = VIMHDataModule(recipe=recipe_of(synth, size), root=ROOT / "data")
    space = data.spec.space
    splits = {split: load_split(ROOT / "data" / data.spec.name, split) for split in ("train", "val", "test")}
    images, labels = splits["test"]
    truth = space.denormalize(labels.numpy())

    def summary(errors: np.ndarray, names: tuple[str, ...]) -> dict:
        sounds = errors.mean(axis=1, keepdims=True)
        bounds = interval(resampled_means(sounds)[:, 0], len(sounds))
        heads = dict(zip(names, errors.mean(axis=0).tolist(), strict=True))
        return {"nmae": float(sounds.mean()), "nmae_interval": bounds, "heads": heads}

    def relative(unit: torch.Tensor) -> np.ndarray:
        return np.abs(space.denormalize(unit.numpy()) - truth) / (space.max - space.min)

    k, _ = choose_k(*splits["train"], *splits["val"])
    neighbours = nearest_neighbours(*splits["train"], images, k)
    decay = closed_form_decay((images.numpy() * 255.0).round().astype(np.uint8), data.spec)
    column = space.index("log10_decay_time")
    low, high = space.min[column], space.max[column]
    off = np.abs(np.clip(decay, low, high) - truth[:, column]) / (high - low)
    closed = summary(off[:, None], ("log10_decay_time",))
    return {
        "mean baseline": summary(relative(predict_mean(splits["train"][1], len(labels))), space.names),
        f"{k} nearest neighbours, {WEIGHTING}": summary(relative(neighbours), space.names),
        "closed form, decay only": closed,
    }


def key_of(model: str, synth: str, size: int, epochs: int, seed: int, heads: str) -> str:
    """Return the key of a run in a file of results; a changed config gives another key."""
    text = json.dumps(config_of(model, heads), sort_keys=True)
    return f"{model} {sha256(text.encode()).hexdigest()[:8]} {synth} {size} clips {epochs} epochs seed {seed}"


def baselines_key(synth: str, size: int) -> str:
    """Return the key of the baselines in a file of results."""
    return f"baselines with intervals {synth} {size} clips"


def is_done(done: dict[str, dict], key: str) -> bool:
    """Return whether a file of results holds a run with its interval, which older files lack."""
    return "nmae_interval" in done.get(key, {})


@cache
def config_of(model: str, heads: str) -> dict:
    """Return a model's config as plain containers."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return to_plain(compose("train", [f"model={model}", f"heads={heads}"]).model)


def compare(arguments: argparse.Namespace) -> dict[str, dict]:
    """Run everything that `arguments` select, in processes; return the results by key."""
    store = Path(arguments.keep) if arguments.keep else None
    done = json.loads(store.read_text()) if store and store.exists() else {}
    for synth in arguments.synths:
        key = baselines_key(synth, arguments.size)
        if key not in done:
            done[key] = run_baselines(synth, arguments.size)
    runs = [
        (model, synth, arguments.size, arguments.epochs, seed, arguments.heads)
        for seed in range(arguments.seeds)
        for synth in arguments.synths
        for model in arguments.models
    ]
    pool = ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn"))
    try:
        waiting = {pool.submit(run_one, *run): key_of(*run) for run in runs if not is_done(done, key_of(*run))}
        for future in as_completed(waiting):
            key = waiting[future]
            done[key] = future.result()
            line = f"{key}: {100 * done[key]['nmae']:.3g} %, {done[key]['epoch_seconds']:.2g} s per epoch"
            print(line, file=sys.stderr, flush=True)
            if store:
                write_atomic(store, (json.dumps(done, indent=1) + "\n").encode())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after a failure or Ctrl-C, do not wait for the other runs
    return done


def runs_of(arguments: argparse.Namespace, done: dict[str, dict], model: str, synth: str) -> list[dict]:
    """Return the results of a model's finished runs."""
    seeds = range(arguments.seeds)
    keys = [key_of(model, synth, arguments.size, arguments.epochs, seed, arguments.heads) for seed in seeds]
    return [done[key] for key in keys if is_done(done, key)]


def update_headers(arguments: argparse.Namespace, done: dict[str, dict]) -> None:
    """Write each model's errors into the second line of its config."""
    baselines = [done[baselines_key(synth, arguments.size)] for synth in arguments.synths]
    nearest = ", ".join(
        f"{100 * result['nmae']:.2g}"
        for by_name in baselines
        for name, result in by_name.items()
        if "neighbours" in name
    )
    for model in arguments.models:
        errors = [
            f"{100 * mean(run['nmae'] for run in runs_of(arguments, done, model, synth)):#.2g} %"
            for synth in arguments.synths
        ]
        reached = f"{errors[0]} of the range on {arguments.synths[0]}, {errors[1]} on {arguments.synths[1]}"
        path = ROOT / "configs/model" / f"{model}.yaml"
        lines = path.read_text().splitlines(keepends=True)
        lines[1] = f"# Test error after {arguments.epochs} epochs: {reached} (nearest neighbours {nearest}).\n"
        write_atomic(path, "".join(lines).encode())


def table_of(
    arguments: argparse.Namespace, done: dict[str, dict], synth: str
) -> tuple[list[Column], list[list[str]], str]:
    """Return a synth's table, one row per baseline, then one per model with the best first; and the note below it."""
    columns = [
        Column(synth, text=True), Column("rank"), Column("error, % of range"), Column("95 % interval", drop=1),
        Column("does not differ from ranks"), Column("parameters", drop=3), Column("M multiply-adds", drop=4),
        Column("CPU s per epoch", drop=2), Column("error by head, % of range", text=True, drop=5),
    ]  # fmt: skip
    rows = []
    for name, result in done[baselines_key(synth, arguments.size)].items():
        bounds = tuple(100 * end for end in result["nmae_interval"])
        error = [rounded(100 * result["nmae"], bounds), written_interval(100 * result["nmae"], bounds)]
        rows.append([name, "", *error, "", "", "", "", _by_head([result])])
    runs = {model: runs_of(arguments, done, model, synth) for model in arguments.models}
    scored, least_ratio = score({model: finished for model, finished in runs.items() if finished})
    close = no_different(scored, least_ratio) if least_ratio else [""] * len(scored)
    for rank, (model, same) in enumerate(zip(scored, close, strict=True), 1):
        size = [f"{model.runs[0]['parameters']:,}", f"{model.runs[0]['multiply_adds'] / 1e6:.2f}"]
        seconds = f"{mean(run['epoch_seconds'] for run in model.runs):.2g}"
        error = [rounded(model.error, model.interval), written_interval(model.error, model.interval)]
        rows.append([model.model, str(rank), *error, same, *size, seconds, _by_head(model.runs)])
    note = "A single seed or model: differences are not tested, and intervals cover the choice of test sounds only."
    if least_ratio:
        seeds = min(len(model.runs) for model in scored)
        note = (
            f"{seeds} seeds. Models whose errors have a ratio below {least_ratio:.2f} do not differ (Tukey's test of "
            "all pairs at 5 %, on logarithms, over seeds and test sounds)."
        )
    return columns, rows, note


def _by_head(runs: Sequence[dict]) -> str:
    return ", ".join(f"{100 * mean(run['heads'][name] for run in runs):.2g}" for name in runs[0]["heads"])


def readme_table(arguments: argparse.Namespace, done: dict[str, dict]) -> str:
    """Return the short table of the README: two baselines and three networks, with 95 % intervals."""
    rows = {name: [name, ""] for name in ("mean baseline", "nearest neighbours")}
    for model in IN_README:
        parameters = runs_of(arguments, done, model, arguments.synths[0])[0]["parameters"]
        rows[model] = [model, f"{parameters:,}"]
    for synth in arguments.synths:
        baselines = done[baselines_key(synth, arguments.size)]
        scored, _ = score({model: runs_of(arguments, done, model, synth) for model in arguments.models})
        errors = {model.model: (model.error, model.interval) for model in scored}
        for full_name, result in baselines.items():
            name = "nearest neighbours" if "neighbours" in full_name else full_name
            low, high = result["nmae_interval"]
            errors[name] = (100 * result["nmae"], (100 * low, 100 * high))
        for name, row in rows.items():
            row.append(f"{rounded(*errors[name])} ({written_interval(*errors[name])})")
    headings = [Column("network", text=True), Column("parameters"), *map(Column, arguments.synths)]
    note = f"In brackets: 95 % interval, over {arguments.seeds} seeds and the test sounds."
    return f"{markdown(headings, list(rows.values()))}\n\n{note}"


def all_markdown(arguments: argparse.Namespace, done: dict[str, dict]) -> str:
    """Return the tables of all synths."""
    parts = []
    for synth in arguments.synths:
        columns, rows, note = table_of(arguments, done, synth)
        parts += [markdown(columns, rows), note]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=named_models(), choices=named_models(), metavar="MODEL")
    parser.add_argument("--synths", nargs="+", default=list(SYNTHS), choices=SYNTHS)
    parser.add_argument("--heads", default="regression", choices=HEADS)
    parser.add_argument("--size", type=int, default=16384, help="clips")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each model")
    parser.add_argument("--jobs", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--keep", help="JSON file of finished runs")
    parser.add_argument("--readme", action="store_true", help="write the tables into the docs, the errors into configs")
    arguments = parser.parse_args()
    partial = [name for name in ("models", "synths", "heads", "size", "epochs", "seeds")
               if getattr(arguments, name) != parser.get_default(name)]  # fmt: skip
    if arguments.readme and partial:
        parser.error(f"--readme publishes the whole comparison; leave out --{', --'.join(partial)}")
    done = compare(arguments)
    if arguments.readme:
        update_block("models", all_markdown(arguments, done))
        update_block("accuracy", readme_table(arguments, done))
        update_headers(arguments, done)
    for synth in arguments.synths:
        columns, rows, note = table_of(arguments, done, synth)
        show(columns, rows, caption=note, all_in="docs/results.md")


if __name__ == "__main__":
    main()
