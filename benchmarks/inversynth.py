"""InverSynth's task with its own network and with ours: python benchmarks/inversynth.py --jobs 2

The synthesizer and the network Conv6 of Barkan et al. (IEEE/ACM TASLP 27(12), 2019) are re-implemented, see
src/synth/inversynth.py and benchmarks/conv6.py; the other figures of the paper are beside them. Their measure is
100 (1 - mean |class error| / 15) of each parameter; always answering with a middle class gives 73.3. The mean of 19
leaves out the four parameters of the envelope, of which the paper does not say when it is released. Conv6 is trained as
published (Adam, 16 sounds a step, a sigmoid for each class, binary cross entropy), but with fewer sounds and epochs.
Finished runs are kept in benchmarks/inversynth.json; `--readme` writes the table into docs.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
from commands import measure_missing
from kept import load, with_spread
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
_AS_MUCH = ("dataset.size=65536", "trainer.max_epochs=10")
_WIDER = ("experiment=inversynth", "model.network.widths=[96,80,64]", "model.network.feature_dim=64")
METHODS = (
    Method("experiment=inversynth", ("experiment=inversynth",)),
    Method("experiment=inversynth, 65,536 sounds", ("experiment=inversynth", *_AS_MUCH)),
    Method("experiment=inversynth, wider", _WIDER),
    Method("Conv6, re-implemented, 65,536 sounds", (*_AS_PUBLISHED, *_AS_MUCH)),
)


def parameter_rates(predictions: SplitPredictions) -> dict[str, float]:
    """Return 100 (1 - mean |class error| / 15) of each parameter."""
    errors = np.abs(predictions.level - predictions.true_level).mean(axis=0)
    return dict(zip(predictions.space.names, (100.0 * (1.0 - errors / MOST)).tolist(), strict=True))


def mean_rate(rates: dict[str, float]) -> float:
    """Return the mean over the 19 parameters that are not the envelope's."""
    return float(np.mean([rate for name, rate in rates.items() if name not in ENVELOPE]))


def results_of(run: Path) -> dict[str, Any]:
    """Return the rates of all parameters of a run."""
    return {"rates": parameter_rates(read_predictions_file(run / "predictions.npz"))}


def measure(seeds: int, jobs: int, data_dir: Path) -> None:
    """Run what the file of results lacks, and keep it there."""
    runs = {method.key(seed): (method.words, seed) for seed in range(seeds) for method in METHODS}

    def shown(found: dict[str, Any]) -> str:
        return f"{mean_rate(found['rates']):.2f}"

    measure_missing(STORE, runs, results_of, shown, data_dir, jobs)


def table() -> str:
    """Return the rates of all methods as Markdown, means over the finished seeds, beside the published ones."""
    done = load(STORE)
    rows = []
    for method in METHODS:
        runs = [done[method.key(seed)] for seed in range(SEEDS) if method.key(seed) in done]
        if not runs:
            continue
        means = np.array([mean_rate(run["rates"]) for run in runs])
        spread = with_spread(means, ".2f", ".2f")
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
