"""Run experiments as a user would; put what they took and reached into results.json and into their headers.

    python benchmarks/experiments.py                 # all of them, one after the other: about half an hour on two cores
    python benchmarks/experiments.py example         # some
    python benchmarks/experiments.py --missing       # those that results.json does not have yet

Each is written when it is done, so that an interrupted run is gone on with by --missing.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.utils.files import write_whole

ELSEWHERE = {"vimh_cnn_stk"}  # trains on a dataset of the user's own
WIDTH = 114  # of a header's lines


def named_experiments(root: Path = ROOT) -> list[str]:
    """Return the experiments that train on data which their config describes."""
    return sorted({path.stem for path in (root / "configs/experiment").glob("*.yaml")} - ELSEWHERE)


def measure(experiment: str, folder: Path) -> dict:
    """Train and test in a process; return parameters, wall seconds without making the data, and each head's errors."""
    paths = (f"paths.data_dir={folder / 'data'}", f"hydra.run.dir={folder / experiment}", f"paths.log_dir={folder}")
    command = [sys.executable, str(ROOT / "src/train.py"), f"experiment={experiment}", "trainer=cpu", *paths]
    once = ("++trainer.fast_dev_run=true", f"hydra.run.dir={folder / 'data_only'}")  # makes the dataset
    subprocess.run([*command, *once], check=True, capture_output=True)
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    results = json.loads((folder / experiment / "test_results.json").read_text())
    log = (folder / experiment / "train.log").read_text()
    (parameters,) = re.findall(r"model of (\d+) parameters", log)
    heads = {row["name"]: {key: row[key] for key in ("mae", "baseline", "unit")} for row in results["rows"]}
    return {"parameters": int(parameters), "seconds": seconds, "heads": heads}


def sentence(figures: dict) -> str:
    """Return an experiment's figures as its header says them."""
    heads = ", ".join(
        " ".join(filter(None, (name, f"{one['mae']:.3g}", one["unit"], f"({one['mae'] / one['baseline']:.1%})")))
        for name, one in figures["heads"].items()
    )
    took = f"{figures['parameters']:,} parameters, {figures['seconds']:.0f} s on two cores."
    return f"{took} Test MAE, and as a share of predicting the mean: {heads}.".replace("%", " %")


def with_figures(text: str, figures: dict) -> str:
    """Return a config's text with its header's figures replaced."""
    block = re.compile(r"^# [\d,]+ parameters, (?:.*\n# )*?.*\.$", re.MULTILINE)
    lines = textwrap.fill(sentence(figures), WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    text, count = block.subn(lambda _: lines, text, count=1)
    if not count:
        raise ValueError(
            "the header has no line of figures, as in '# 9,786 parameters, 8 s on two cores. ... (2.5 %).'"
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    parser.add_argument("--missing", action="store_true", help="only those without figures yet")
    arguments = parser.parse_args()
    if unknown := set(arguments.experiments) - set(named_experiments()):
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    store = ROOT / "benchmarks/results.json"
    for experiment in arguments.experiments or named_experiments():
        if arguments.missing and experiment in json.loads(store.read_text()).get("experiments", {}):
            continue
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(experiment, Path(folder))
        results = json.loads(store.read_text())  # read again: another benchmark may have written meanwhile
        results["experiments"] = dict(sorted((results.get("experiments", {}) | {experiment: figures}).items()))
        path = ROOT / f"configs/experiment/{experiment}.yaml"
        write_whole(path, with_figures(path.read_text(), figures).encode())
        write_whole(store, (json.dumps(results, indent=1) + "\n").encode())
        print(f"{experiment}: {sentence(figures)}", flush=True)


if __name__ == "__main__":
    main()
