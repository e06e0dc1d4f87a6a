"""Which kind of head with which loss: python benchmarks/loss_table.py

Trains the network of experiment=yardstick on 16,384 clips of two synths with each kind of head and each loss that fits
it, three seeds each, with the weights of the last epoch, and prints MAE / range on the test split, the mean over heads,
in percent. Finished runs are kept in benchmarks/loss_table.json; `--readme` writes the table into docs. About half an
hour on one core.
"""

import argparse
from itertools import product
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from bare import bare_trainer
from generation import recipe_of
from hydra import compose, initialize_config_dir
from kept import keep, load, with_spread
from lightning import seed_everything
from readme import update_block

from src.cli.instantiate import quiet_lightning
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.evaluate import evaluate
from src.models.build import build_model
from src.models.heads.distribution import GaussianHead
from src.models.heads.head import OrdinalHead
from src.models.heads.multi_head import HEAD_KINDS
from src.models.losses import losses_taking
from src.utils.plain import to_plain
from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/loss_table.json"
SYNTHS = ("simple_saw", "moog_basic")
CLIPS, EPOCHS, BATCH_SIZE, SEEDS = 16384, 20, 128, 3
_OURS = {"torch.nn.L1Loss": "l1", "torch.nn.MSELoss": "l2"}  # torch's other losses repeat our own
_SAME = ("distance",)  # its default is l1


def combinations() -> list[tuple[str, str]]:
    """Return all pairs of a kind of head and a loss that fits it, those with equal values once.

    An ordinal head's values are those of a classification head with the same loss; only its levels differ.
    """
    kinds = HEAD_KINDS | {"gaussian": GaussianHead}
    pairs = [("ordinal", OrdinalHead.default_loss)]
    for kind in [name for name in kinds if name not in ("categorical", "ordinal")]:
        names = [_OURS.get(name, name) for name in losses_taking(kinds[kind].feeds) if name not in _SAME]
        pairs += [(kind, name) for name in sorted(names) if not name.startswith("torch.nn.")]
    return pairs


def model_config(kind: str, loss: str) -> dict:
    """Return a model's config with this head and loss for all parameters."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = to_plain(compose("train", ["experiment=yardstick", "paths.output_dir=."]).model)
    chosen = {"kind": "regression", "variance": True} if kind == "gaussian" else {"kind": kind}
    return config | {"heads": {"default": chosen | {"loss": loss}}, "balance": "weights"}


def run_one(synth: str, kind: str, loss: str, seed: int, data_dir: Path) -> dict[str, float | None]:
    """Train and test one model; return the mean error of its heads and their accuracy, as fractions."""
    seed_everything(seed, verbose=False)
    data = VIMHDataModule(recipe=recipe_of(synth, CLIPS), root=data_dir, batch_size=BATCH_SIZE, seed=seed)
    module = build_model(model_config(kind, loss), data.spec)
    trainer = bare_trainer(EPOCHS)
    trainer.fit(module, datamodule=data)
    found = evaluate(module, data, trainer)
    return {"nmae": found.nmae, "accuracy": float(np.mean([row.accuracy for row in found.rows]))}


def table(done: dict[str, dict[str, float | None]]) -> str:
    """Return the combinations with runs on all synths as Markdown, those of the least errors first."""
    rows = []
    for kind, loss in combinations():
        seeds = [seed for seed in range(SEEDS) if all(key_of(synth, kind, loss, seed) in done for synth in SYNTHS)]
        if not seeds:
            continue
        cells, order = [], 0.0
        for synth in SYNTHS:
            runs = [done[key_of(synth, kind, loss, seed)] for seed in seeds]
            errors = 100 * np.array([run["nmae"] for run in runs])
            cells += [with_spread(errors), f"{100 * np.mean([run['accuracy'] for run in runs]):.1f}"]
            order += float(np.log(errors.mean()))
        rows.append((order, [kind, loss, *cells, str(len(seeds))]))
    columns = [Column("head", text=True), Column("loss", text=True)]
    for synth in SYNTHS:
        columns += [Column(f"{synth}: error, % of range"), Column("accuracy, %")]
    return markdown([*columns, Column("seeds")], [cells for _, cells in sorted(rows)])


def key_of(synth: str, kind: str, loss: str, seed: int) -> str:
    """Return the key of a run in the file of results."""
    return f"{synth} {kind} {loss} seed {seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where datasets are, or are made")
    parser.add_argument("--readme", action="store_true", help="write the table into docs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quiet_lightning()
    done = load(STORE)
    for seed, (kind, loss), synth in product(range(SEEDS), combinations(), SYNTHS):
        key = key_of(synth, kind, loss, seed)
        if key not in done:
            done[key] = run_one(synth, kind, loss, seed, given.data.resolve())
            keep(STORE, done)
            print(f"{key}: {100 * done[key]['nmae']:.3g} % of range", flush=True)
    print(table(done))
    if given.readme:
        update_block("loss_table", table(done))


if __name__ == "__main__":
    main()
