"""Which changes make moog_basic_16k reach its accuracy sooner: python benchmarks/speedrun.py --jobs 2

Each row of the table changes one thing of its reference, for the same number of steps; the last rows join what helped.
Each run is `src/train.py` with one seed and one thread on a core of its own. The runs take turns, and every finished
run is kept in benchmarks/speedrun.json with the name of its processor, so that an interrupted race can continue.
`--race` instead runs the present recipe and the winner in full, side by side. `--table` writes the tables into docs.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from commands import on_own_cores, processor, train
from kept import keep, load
from readme import update_block

from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/speedrun.json"
SEEDS = 3
_PRESENT, _FAST = "experiment=moog_basic_16k", "experiment=moog_basic_fast"
_SHORT = "trainer.max_epochs=20"  # a sixth of the present recipe: long enough to rank changes
HEADS = ("note_velocity", "log10_decay_time", "filter_cutoff", "filter_resonance")


class Row(NamedTuple):
    """A row of the table: what is tried, the overrides of src/train.py, and what was decided."""

    what: str
    overrides: tuple[str, ...]
    verdict: str = ""


def _present(what: str, verdict: str, *overrides: str) -> Row:
    """Return a row that changes the present recipe."""
    return Row(what, (_PRESENT, _SHORT, *overrides), verdict)


def _joined(what: str, verdict: str, *overrides: str) -> Row:
    """Return a row that changes the present recipe with the other network and Muon."""
    return Row(what, (_PRESENT, _SHORT, "model=frames_23k", "optimizer=muon", *overrides), verdict)


ROWS = (
    _present("moog_basic_16k, 20 epochs", "the reference"),
    _present("batch of 128, 30 epochs", "no gain", "data.batch_size=128", "trainer.max_epochs=30"),
    _present("rate 0.004", "worse", "model.optimizer.lr=0.004"),
    _present("one cycle", "no gain", "scheduler=one_cycle"),
    _present("EMA of the weights", "no gain", "+callbacks=ema"),
    _present("constant rate and EMA", "worse", "scheduler=constant", "+callbacks=ema"),
    _present("SAM, 10 epochs", "worse: two passes a step", "wrapper=sam", "trainer.max_epochs=10"),
    _present("Lookahead", "worse", "wrapper=lookahead"),
    _present("Huber loss", "no gain", "model.heads.default.loss={_target_: huber, delta: 0.02}"),
    _present("Gaussian heads", "worse, and unstable", "heads=gaussian"),
    _present("weight decay 0.1", "worse", "model.optimizer.weight_decay=0.1"),
    _present("channels last", "no gain", "model.channels_last=true"),
    _present("compile", "no gain: compiling takes a minute", "model.compile=true"),
    _present("data in memory", "no gain", "data.device_cache=true"),
    _present("fused AdamW", "no gain", "+model.optimizer.fused=true"),
    _present("validation every 5 epochs", "no gain", "+trainer.check_val_every_n_epoch=5"),
    _present("no logger, no figures", "no gain", "logger=null", "~callbacks.tensorboard_figures"),
    _present("Muon", "kept: a quarter less error", "optimizer=muon"),
    _present("frames_23k", "kept: a quarter less time", "model=frames_23k"),
    _joined("frames_23k and Muon", "half the error, in less time"),
    _joined("widths of 48", "worse", "model.network.widths=[48,48]"),
    _joined("batch of 128, 32 epochs", "slower", "data.batch_size=128", "trainer.max_epochs=32"),
    _joined("EMA of the weights", "no gain", "+callbacks=ema"),
    _joined("weight decay 0.1", "worse", "model.optimizer.weight_decay=0.1"),
    _joined("weight decay 0.01", "helps one head only", "model.optimizer.weight_decay=0.01"),
    _joined("rate 0.012", "kept", "model.optimizer.lr=0.012"),
    _joined("30 epochs", "kept", "trainer.max_epochs=30"),
    _joined("40 epochs", "no gain", "trainer.max_epochs=40"),
)
RACE = (Row("moog_basic_16k", (_PRESENT,)), Row("moog_basic_fast", (_FAST,)))


def key_of(row: Row, seed: int, machine: str) -> str:
    """Return the key of a run in the file of results."""
    return f"{' '.join(row.overrides)} seed={seed} on {machine}"


def run_one(row: Row, seed: int, cores: list[int], data_dir: Path, folder: Path) -> dict:
    """Train and test on `cores`; return times and the validation's and the test's errors."""
    used = train(row.overrides, seed, cores, data_dir, folder)
    results = json.loads((folder / "run/test_results.json").read_text())
    (record,) = json.loads((folder / "run/run.json").read_text())["sessions"]
    heads = {line["name"]: line["relative_mae"] for line in results["rows"]}
    return used | {"val_nmae": record["score"], "heads": heads}


def race(rows: tuple[Row, ...], seeds: int, jobs: int, seconds: float, data_dir: Path) -> None:
    """Run what the file of results lacks, `jobs` at a time, each on its own cores; start nothing after `seconds`."""
    machine = processor()
    done = load(STORE)
    runs = [(row, seed) for seed in range(seeds) for row in rows]
    todo = [run for run in runs if key_of(*run, machine) not in done]

    def work(run: tuple[Row, int], cores: list[int]) -> None:
        row, seed = run
        try:
            result = run_one(row, seed, cores, data_dir, Path(scratch, f"{rows.index(row)}_{seed}"))
        except RuntimeError as error:
            print(f"{row.what}, seed {seed}: {error}", file=sys.stderr, flush=True)
            return
        done[key_of(row, seed, machine)] = result
        keep(STORE, done)
        errors = " ".join(f"{100 * error:.3g}" for error in result["heads"].values())
        print(f"{row.what}, seed {seed}: {errors} %, {result['cpu_seconds']:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        on_own_cores(todo, work, jobs, seconds)


def table(rows: tuple[Row, ...], machine: str) -> str:
    """Return the means over the finished seeds as Markdown, with the range of the validation's error."""
    done = load(STORE)
    columns = [Column("what", text=True), Column("val, % of range"), *map(Column, HEADS)]
    columns += [Column("CPU s"), Column("wall s"), Column("seeds"), Column("verdict", text=True)]
    lines = []
    for row in rows:
        keys = [key_of(row, seed, machine) for seed in range(SEEDS)]
        found = [done[key] for key in keys if key in done]
        if found:
            errors = [100 * run["val_nmae"] for run in found]
            line = [row.what, f"{mean(errors):.2f} ({min(errors):.2f}..{max(errors):.2f})"]
            line += [f"{100 * mean(run['heads'][name] for run in found):.2g} %" for name in HEADS]
            line += [f"{mean(run[key] for run in found):.0f}" for key in ("cpu_seconds", "wall_seconds")]
            lines.append([*line, str(len(found)), row.verdict])
    return markdown(columns, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--race", action="store_true", help="the present recipe and the winner, in full")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, each on its own cores")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no run starts")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where the dataset is, or is made")
    parser.add_argument("--table", nargs=2, metavar="MACHINE", help="of the rows and of the race: write the tables")
    given = parser.parse_args()
    if given.table:
        update_block("speedrun", table(ROWS, given.table[0]))
        update_block("race", table(RACE, given.table[1]))
        return
    race(RACE if given.race else ROWS, given.seeds, given.jobs, given.seconds, given.data)


if __name__ == "__main__":
    main()
