"""Run mutated files by the hundred thousand: `nice python -m tests.mutation sounds --count 100000`.

Prints how many files of each kind were read and refused, and the seeds of those that did what no file may do.
"""

import argparse
import contextlib
import faulthandler
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from src.data.generate import generate
from tests.data.conftest import tiny_recipe
from tests.mutation import reading, sounds, vimh
from tests.mutation.oracle import bounded_memory, judge, warnings_taken

_CHUNK = 20_000  # files a process reads: starting one costs as much time as some 2,000 files


def run(what: str, seeds: range, progress: Path | None = None) -> tuple[Counter, list[str]]:
    """Read the files of all seeds in this process; return counts by (kind, outcome), and one text for each fault.

    `progress` is a file that always holds the seed at work.
    """
    counts, faults = Counter(), []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        directory = Path(folder)
        if what == "vimh":
            ours = generate(tiny_recipe(**{"dataset.size": 24}), directory / "made", pickle=True)[0]
            originals = vimh.make_originals(directory / "originals", ours)
        elif what == "checkpoints":
            originals = reading.make_original()
        else:
            (directory / "originals").mkdir()
            originals = sounds.write_originals(directory / "originals")
        # of checkpoints the growth is measured: a MemoryError there is one of the faults that a line tells
        memory = contextlib.nullcontext() if what == "checkpoints" else bounded_memory()
        with warnings_taken() as warnings, memory:
            for seed in seeds:
                if progress is not None:
                    progress.write_text(str(seed))
                canary = None
                if what == "vimh":
                    name, read, canary = vimh.make_case(originals, directory, seed)
                elif what == "checkpoints":
                    name, read = reading.make_case(originals, directory, seed)
                else:
                    name, read = sounds.make_case(originals, directory, warnings, seed)
                verdict = judge(read, canary)
                counts[name, verdict.outcome] += 1
                if verdict.is_fault:
                    faults.append(f"{what} {seed} {name}: {verdict.outcome}: {verdict.detail}")
                    if canary is not None:
                        canary.unlink(missing_ok=True)
    return counts, faults


def _run_chunk(what: str, first: int, last: int, counts: Counter) -> int:
    """Run seeds in a process of their own and add to the counts; return the seed to go on with."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "tests.mutation", what, "--first", str(first), "--count", str(last - first)]
        try:
            done = subprocess.run([*line, "--results", folder], capture_output=True, text=True, timeout=7200)
            status, errors = done.returncode, done.stderr
        except subprocess.TimeoutExpired:
            status, errors = "hung", ""
        if status == 0:
            found = json.loads((Path(folder) / "results.json").read_text())
            counts.update({tuple(key): number for key, number in found["counts"]})
            for fault in found["faults"]:
                print(fault, flush=True)
            counts["peak MB", ""] = max(counts["peak MB", ""], found["peak"])
            return last
        if not (Path(folder) / "seed").exists():
            raise SystemExit(f"{what}: the originals could not be made: {errors[-3000:]}")
        seed = int((Path(folder) / "seed").read_text())
        print(f"{what} {seed}: the process ended with {status}: {errors[-3000:]}", flush=True)
        counts["crashed", ""] += 1
        if seed > first:
            _run_chunk(what, first, seed, counts)
        return seed + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("vimh", "sounds", "checkpoints"))
    parser.add_argument("--count", type=int, default=_CHUNK)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--results", type=Path, help="read all files in this process, and leave the results here")
    given = parser.parse_args()
    faulthandler.enable()
    torch.set_num_threads(1)
    if given.results:
        seeds = range(given.first, given.first + given.count)
        counts, faults = run(given.what, seeds, given.results / "seed")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
        found = json.dumps({"counts": list(counts.items()), "faults": faults, "peak": peak})
        (given.results / "results.json").write_text(found)
        return
    counts, seed, end, began = Counter(), given.first, given.first + given.count, time.monotonic()
    while seed < end:
        seed = _run_chunk(given.what, seed, min(seed + _CHUNK, end), counts)
        print(f"# seeds to {seed} in {time.monotonic() - began:.0f} s", flush=True)
    for (kind, outcome), number in sorted(counts.items()):
        print(f"{kind:32} {outcome:12} {number}")


if __name__ == "__main__":
    main()
