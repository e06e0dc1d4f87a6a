"""InverSynth's task with its own network and with ours: python benchmarks/inversynth.py --jobs 2

The synthesizer and the network Conv6 of Barkan et al. (IEEE/ACM TASLP 27(12), 2019) are re-implemented, see
src/synth/inversynth.py and benchmarks/conv6.py; the other figures of the paper are beside them. Their measure is
100 (1 - mean |class error| / 15) of each parameter; always answering with a middle class gives 73.3. The mean of 19
leaves out the four parameters of the envelope, of which the paper does not say when it is released. Conv6 is trained as
published (Adam, 16 sounds a step, a sigmoid for each class, binary cross entropy), but with fewer sounds and epochs.
Finished runs are kept in benchmarks/inversynth.json; `--readme` writes the table into docs.
"""

import argparse
import json
import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
from commands import on_own_cores, processor, train
from kept import keep, load
from readme import update_block

from src.evaluation.predictions_file import SplitPredictions, read_predictions_file
from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/inversynth.json"
ENVELOPE = ("attack", "decay", "sustain", "release")
MOST = 15  # classes between the first and the last
PUBLISHED = {  # the paper's means of the 19 parameters: 200,000 sounds, 100 epochs
    "Conv6XL": 80.18,
    "Conv6": 80.06,
    "Conv5": 79.99,
    "Conv3": 78.79,
    "Conv1": 72.07,
    "FC2": 69.06,
}
SEEDS = 3


class Method(NamedTuple):
    """A network with its training: the words of its command after src/train.py."""

    name: str
    words: tuple[str, ...]

    def key(self, seed: int) -> str:
        """Return the key of one of its runs in the file of results."""
        return f"{' '.join(self.words)} seed={seed}"


_AS_PUBLISHED = (
    "synth=inversynth",
    "heads=classification",
    "model.heads.default.loss=torch.nn.BCEWithLogitsLoss",
    "optimizer=adam",
    "model.optimizer.lr=0.001",
    "scheduler=constant",
    "model.scheduler.warmup_fraction=0",
    "data.batch_size=16",
    "~model.network",
    "+model.network={_target_: benchmarks.conv6.Conv6, _partial_: true}",
)
METHODS = (
    Method("Conv6, re-implemented", (*_AS_PUBLISHED, "dataset.size=65536", "trainer.max_epochs=10")),
    Method("experiment=inversynth", ("experiment=inversynth",)),
)


def parameter_rates(predictions: SplitPredictions) -> dict[str, float]:
    """Return 100 (1 - mean |class error| / 15) of each parameter."""
    errors = np.abs(predictions.level - predictions.true_level).mean(axis=0)
    return dict(zip(predictions.space.names, (100.0 * (1.0 - errors / MOST)).tolist(), strict=True))


def mean_rate(rates: dict[str, float]) -> float:
    """Return the mean over the 19 parameters that are not the envelope's."""
    return float(np.mean([rate for name, rate in rates.items() if name not in ENVELOPE]))


def run_one(method: Method, seed: int, cores: list[int], data_dir: Path, folder: Path) -> dict[str, Any]:
    """Train and test; return the rates of all parameters and the cost."""
    used = train(method.words, seed, cores, data_dir, folder)
    (record,) = json.loads((folder / "run/run.json").read_text())["sessions"]
    rates = parameter_rates(read_predictions_file(folder / "run/predictions.npz"))
    return used | {"processor": processor(), "parameters": record["num_parameters"], "rates": rates}


def measure(seeds: int, jobs: int, data_dir: Path) -> None:
    """Run what the file of results lacks, and keep it there."""
    done = load(STORE)
    todo = [(method, seed) for seed, method in product(range(seeds), METHODS) if method.key(seed) not in done]

    def work(run: tuple[Method, int], cores: list[int]) -> None:
        method, seed = run
        folder = Path(scratch, f"{METHODS.index(method)}_{seed}")
        try:
            found = run_one(method, seed, cores, data_dir, folder)
        except RuntimeError as error:
            print(f"{method.key(seed)}: {error}", file=sys.stderr, flush=True)
            return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        done[method.key(seed)] = found
        keep(STORE, done)
        print(f"{method.key(seed)}: {mean_rate(found['rates']):.2f}, {found['cpu_seconds']:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        on_own_cores(todo, work, jobs, float("inf"))


def table() -> str:
    """Return the rates of all methods as Markdown, means over the finished seeds, beside the published ones."""
    done = load(STORE)
    rows = []
    for method in METHODS:
        runs = [done[method.key(seed)] for seed in range(SEEDS) if method.key(seed) in done]
        if not runs:
            continue
        means = np.array([mean_rate(run["rates"]) for run in runs])
        spread = f"{means.mean():.2f} ± {means.std(ddof=1):.2f}" if len(means) > 1 else f"{means.mean():.2f}"
        cost = f"{np.mean([run['cpu_seconds'] for run in runs]):,.0f}"
        rows.append([method.name, f"{runs[0]['parameters']:,}", spread, cost, str(len(runs))])
    rows += [
        [f"{name}, published", "1.2 M" if name == "Conv6" else "", f"{rate:.2f}", "", ""]
        for name, rate in PUBLISHED.items()
    ]
    rows.append(["the middle class", "", f"{100 * (1 - np.abs(np.arange(16) - 7).mean() / MOST):.2f}", "", ""])
    columns = [
        Column("network", text=True),
        Column("parameters"),
        Column("mean of 19"),
        Column("CPU s"),
        Column("seeds"),
    ]
    return markdown(columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where datasets are, or are made")
    parser.add_argument("--readme", action="store_true", help="write the table into docs")
    given = parser.parse_args()
    measure(given.seeds, given.jobs, given.data.resolve())
    print(table())
    if given.readme:
        update_block("inversynth_task", table())


if __name__ == "__main__":
    main()
