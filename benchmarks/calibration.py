"""Train every kind of head and measure what its uncertainties cover on the test split: `make calibration`.

    python benchmarks/calibration.py                                    # every kind: 6 to 15 minutes on one core
    python benchmarks/calibration.py --heads gaussian soft --synths simple_saw --epochs 3 --keep /tmp/look.json
    python benchmarks/calibration.py --missing                          # continue an interrupted run

Each model is chosen and calibrated on the validation split and tested on the test split, which is not used before.
Rows are written to calibration.json as soon as a model is done. A parameter with * is outside the bounds:
intervals and +- of nominally 68 % should cover 55 to 82 %, those of 90 % should cover 87 to 96 %, and 80 % of the
quarter of the sounds with the largest +-. `splits` are the coverages over random splits of validation and test sounds,
of these intervals and of others: see calibration_splits.py.
"""

import argparse
import json
import math
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import torch
from calibration_splits import SCHEMES, SPLITS, samples_of, split_coverages
from compare_models import HEADS, SYNTHS, config_of
from generation import recipe_of
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from readme import update_block

from src.cli.instantiate import quiet_lightning
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.calibration import CAPTION, Coverage, measure_coverage, table_of
from src.models.build import build_model, load_checkpoint
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.table import show

MODEL = "cnn_micro"
BATCH_SIZE = 128  # an epoch then takes 2 s, and the networks learn enough for the test
_MAY_BE_NAN = ("rank_correlation", "least_certain")


def trained(heads: str, synth: str, size: int, epochs: int, seed: int) -> tuple[VIMHLitModule, VIMHDataModule]:
    """Train one model; return its best checkpoint and its data."""
    seed_everything(seed, verbose=False)
    data = VIMHDataModule(recipe=recipe_of(synth, size), root=ROOT / "data", batch_size=BATCH_SIZE, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, monitor="val/nmae", mode="min")
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            callbacks=[best],
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(build_model(config_of(MODEL, heads), data.spec), datamodule=data, weights_only=True)
        return load_checkpoint(best.best_model_path), data


def run_one(heads: str, synth: str, size: int, epochs: int, seed: int) -> list[dict]:
    """Train one model and return, by parameter, what it covers on the test split and on random splits."""
    model, data = trained(heads, synth, size, epochs, seed)
    samples = torch.cat([samples_of(model, data.dataset(split)) for split in ("val", "test")])
    rows = zip(measure_coverage(model, data.dataset("test")), split_coverages(samples), strict=True)
    return [to_json(row) | {"splits": splits} for row, splits in rows]


def to_json(row: Coverage) -> dict:
    """Return a row as JSON can hold it: NaN becomes null."""
    plain = asdict(row)
    return plain | {name: None if math.isnan(plain[name]) else plain[name] for name in _MAY_BE_NAN}


def from_json(plain: dict) -> Coverage:
    """Return the row that `to_json` converted."""
    missing = {name: math.nan for name in _MAY_BE_NAN if plain[name] is None}
    return Coverage(**{name: value for name, value in plain.items() if name != "splits"} | missing)


def markdown(content: dict) -> str:
    """Return the table for the documentation: for each synth and kind of head, the range over its parameters."""
    settings = content["settings"]
    lines = [
        "| synth | `heads=` | 68 % interval | 90 % interval | least certain quarter | +- | 1.645 +- | rank |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for synth, kinds in content["coverage"].items():
        for kind, plain in kinds.items():
            rows = [from_json(row) for row in plain]
            shares = [[row.intervals[at] for row in rows] for at in (0, 1)]
            shares += [[row.normal[at] for row in rows] for at in (0, 1)]
            cells = [_percent(share) for share in shares]
            uncertain = [row.least_certain for row in rows if math.isfinite(row.least_certain)]
            cells.insert(2, _percent(uncertain) if uncertain else "constant")
            ranks = [row.rank_correlation for row in rows if math.isfinite(row.rank_correlation)]
            cells.append(_span([f"{one:.2f}" for one in sorted(ranks)]) if ranks else "constant")
            lines.append(f"| {synth} | `{kind}` | {' | '.join(cells)} |")
    note = (
        f"{settings['model']}, {settings['size']:,} clips, {settings['epochs']} epochs, one seed; least and largest "
        f"coverage over the parameters; torch {settings['torch']}. least certain quarter: coverage of the 90 % "
        "interval in the quarter of the sounds with the largest +-. rank: rank correlation of |error| and +-."
    )
    return "\n".join([*lines, "", note])


def markdown_of_splits(content: dict) -> str:
    """Return the table of the coverages over random splits: for each kind of head, the range over all parameters."""
    lines = [
        "| `heads=` | covered | relative half width | by the rule | least certain quarter | by the rule | plain |",
        "|---|---|---|---|---|---|---|",
    ]
    kinds = next(iter(content["coverage"].values()))
    for kind in kinds:
        rows = [row["splits"] for synth in content["coverage"].values() for row in synth[kind]]
        coverage, ratio, uncertain = (
            {scheme: [row[scheme][at] for row in rows] for scheme in SCHEMES} for at in range(3)
        )
        cells = [f"{_span([f'{100 * one:.1f}' for one in sorted(coverage['fitted'])])} %"]
        cells += [_span([f"{one:.2f}" for one in sorted(ratio[scheme])]) for scheme in ("fitted", "rule")]
        for scheme in SCHEMES:
            known = [share for share in uncertain[scheme] if share is not None]
            cells.append(_percent(known) if known else "constant")
        lines.append(f"| `{kind}` | {' | '.join(cells)} |")
    note = (
        f"Means of {SPLITS} random splits of the validation and test sounds into halves, one that calibrates and one "
        "that tests; least and largest over the parameters of both synths. Half widths are relative to those of plain "
        "intervals, which are the same for every sound."
    )
    return "\n".join([*lines, "", note])


def _percent(shares: list[float]) -> str:
    return _span([f"{100 * share:.0f}" for share in sorted(shares)]) + " %"


def _span(figures: list[str]) -> str:
    return figures[0] if figures[0] == figures[-1] else f"{figures[0]} to {figures[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=HEADS)
    parser.add_argument("--synths", nargs="+", default=SYNTHS)
    parser.add_argument("--size", type=int, default=20480)  # 2,048 sounds each for validation and test
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=ROOT / "benchmarks/calibration.json", help="JSON file of the rows")
    parser.add_argument("--missing", action="store_true", help="only those that the file does not have yet")
    arguments = parser.parse_args()
    quiet_lightning()
    torch.set_num_threads(1)  # the tensors are small: more threads would wait for each other
    settings = {"model": MODEL, "machine": platform.machine(), "torch": torch.__version__}
    settings |= {key: getattr(arguments, key) for key in ("size", "epochs", "seed")}
    content: dict[str, Any] = {"settings": settings, "coverage": {}}
    if arguments.missing:
        content = json.loads(arguments.keep.read_text())
    if content["settings"] != settings:
        measured = f"{arguments.keep} was measured with {content['settings']}"
        parser.error(f"--missing: {measured}; leave out --missing to measure all of it again")
    for synth in arguments.synths:
        rows = content["coverage"].setdefault(synth, {})
        for heads in arguments.heads:
            if heads not in rows:
                rows[heads] = run_one(heads, synth, arguments.size, arguments.epochs, arguments.seed)
                arguments.keep.write_text(json.dumps(content, indent=1) + "\n")
        groups = {heads: [from_json(row) for row in rows[heads]] for heads in arguments.heads}
        count = groups[arguments.heads[0]][0].count
        title = f"{synth}: {arguments.size:,} clips, {arguments.epochs} epochs, {count:,} test clips"
        show(*table_of(groups.items()), title=title, caption=CAPTION)
    if arguments.keep == ROOT / "benchmarks/calibration.json":
        update_block("calibration", markdown(content))
        update_block("calibration splits", markdown_of_splits(content))


if __name__ == "__main__":
    main()
