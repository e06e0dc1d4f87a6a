"""Which changes make moog_basic_16k reach its accuracy sooner: python benchmarks/speedrun.py --jobs 2

Each row of the table changes one thing of its reference, for the same number of steps; the last rows join what helped.
Each run is `src/train.py` with one seed and one thread on a core of its own. The runs take turns, and every finished
run is kept in benchmarks/speedrun.json with the name of its processor, so that an interrupted race can continue.
`--race` instead runs the present recipe and the winner in full, side by side. `--table` writes the tables into docs.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from statistics import mean
from typing import NamedTuple

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from readme import update_block

from src.run.record import hardware
from src.utils.files import write_atomic
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
    """Train and test on `cores`, or on any if none are named; return times and the validation's and the test's errors.

    Raise RuntimeError with the end of its output if the process fails.
    """
    folder.mkdir(parents=True)
    paths = (f"paths.data_dir={data_dir}", f"hydra.run.dir={folder / 'run'}", f"paths.log_dir={folder / 'logs'}")
    one_thread = [] if any("num_threads" in word for word in row.overrides) else ["extras.num_threads=1"]
    command = [sys.executable, str(ROOT / "src/train.py"), *row.overrides, *one_thread, f"seed={seed}", "trainer=cpu"]
    began = time.perf_counter()
    with (folder / "output").open("w") as output:
        child = subprocess.Popen(
            [*command, *paths],
            env=os.environ | {"NUMBA_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError((folder / "output").read_text()[-2000:])
    results = json.loads((folder / "run/test_results.json").read_text())
    (record,) = json.loads((folder / "run/run.json").read_text())["sessions"]
    return {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "wall_seconds": time.perf_counter() - began,
        "val_nmae": record["score"],
        "heads": {line["name"]: line["relative_mae"] for line in results["rows"]},
    }


def race(rows: tuple[Row, ...], seeds: int, jobs: int, seconds: float, data_dir: Path) -> None:
    """Run what the file of results lacks, `jobs` at a time, each on its own cores; start nothing after `seconds`."""
    machine = processor()
    done = json.loads(STORE.read_text()) if STORE.exists() else {}
    runs = [(row, seed) for seed in range(seeds) for row in rows]
    todo = [run for run in runs if key_of(*run, machine) not in done]
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    places: SimpleQueue[list[int]] = SimpleQueue()
    for job in range(jobs):
        places.put(allowed[job::jobs])
    end = time.monotonic() + seconds

    def work(run: tuple[Row, int]) -> None:
        cores = places.get()
        row, seed = run
        try:
            if time.monotonic() > end:
                return
            result = run_one(row, seed, cores, data_dir, Path(scratch, f"{rows.index(row)}_{seed}"))
            done[key_of(row, seed, machine)] = result
            write_atomic(STORE, (json.dumps(dict(sorted(done.items())), indent=1) + "\n").encode())
            errors = " ".join(f"{100 * error:.3g}" for error in result["heads"].values())
            print(f"{row.what}, seed {seed}: {errors} %, {result['cpu_seconds']:.0f} s", flush=True)
        except RuntimeError as error:
            print(f"{row.what}, seed {seed}: {error}", file=sys.stderr, flush=True)
        finally:
            places.put(cores)

    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, todo))


def processor() -> str:
    """Return the name of this machine's processor and its number of cores."""
    found = hardware()
    return f"{found['cpu'] or platform.machine()}, {found['cores']} cores"


def table(rows: tuple[Row, ...], machine: str) -> str:
    """Return the means over the finished seeds as Markdown, with the range of the validation's error."""
    done = json.loads(STORE.read_text())
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
