"""Run the experiments as a user would; write what they take and reach into results.json and into their headers.

    python benchmarks/experiments.py                   # those that have no figures for their present config
    python benchmarks/experiments.py --jobs 4          # four at a time, each with one thread
    python benchmarks/experiments.py example --again   # named ones, whether or not they have figures

Each experiment's figures are written as soon as it ends, so that an interrupted run goes on where it stopped. At the
end those heads are listed whose error is more than half of the mean baseline's.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src.utils.files import write_whole

STORE = ROOT / "benchmarks/results.json"
ELSEWHERE = {"vimh_cnn_stk"}  # it trains on a dataset of the user's own
WIDTH = 114  # characters of a header's line
MOST = 0.5  # of the mean baseline's error: a head that errs more has learned little
UNDETERMINED = {  # heads of a synth that its images do not determine, and why
    ("simple_saw_classic", "note_velocity"): "the whole range is 0.07 dB, a quarter of a byte level",
}
_DECIDING = ("synth", "spectral", "dataset", "data", "model", "trainer", "callbacks", "seed", "monitor")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def named_experiments(root: Path = ROOT) -> list[str]:
    """Return the experiments that train on data which their config describes."""
    return sorted({path.stem for path in (root / "configs/experiment").glob("*.yaml")} - ELSEWHERE)


def composed(experiment: str) -> dict[str, Any]:
    """Return what decides an experiment's figures, as plain containers."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", [f"experiment={experiment}", "trainer=cpu", "paths.output_dir=.", "paths.data_dir=."])
    plain = OmegaConf.to_container(config, resolve=True)
    return {key: plain[key] for key in _DECIDING}


def digest(config: dict[str, Any]) -> str:
    """Return what tells one composed config from another."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:12]


def make_data(config: dict[str, Any], data_dir: Path) -> None:
    """Make the dataset of an experiment unless it exists."""
    from src.data.vimh_datamodule import VIMHDataModule

    recipe = {key: config[key] for key in ("synth", "spectral", "dataset")}
    VIMHDataModule(recipe=recipe, root=data_dir).prepare_data()


def measure(experiment: str, config: dict[str, Any], data_dir: Path, folder: Path) -> dict[str, Any]:
    """Train and test in a process of one thread; return parameters, CPU seconds and each head's errors.

    RuntimeError holds the end of the output of a process that fails.
    """
    paths = (f"paths.data_dir={data_dir}", f"hydra.run.dir={folder}", f"paths.log_dir={folder / 'logs'}")
    command = [sys.executable, str(ROOT / "src/train.py"), f"experiment={experiment}", "trainer=cpu", *paths]
    folder.mkdir(parents=True)
    with (folder / "output").open("w") as output:
        streams = {"stdout": output, "stderr": subprocess.STDOUT}
        child = subprocess.Popen([*command, "extras.num_threads=1"], env={**os.environ, **_ONE_THREAD}, **streams)
        _, status, used = os.wait4(child.pid, 0)  # what this process and its workers used, and no other
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError((folder / "output").read_text()[-2000:])
    results = json.loads((folder / "test_results.json").read_text())
    (parameters,) = re.findall(r"model of (\d+) parameters", (folder / "train.log").read_text())
    return {
        "parameters": int(parameters),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "synth": config["synth"]["name"],
        "config": digest(config),
        "heads": {row["name"]: {key: row[key] for key in ("mae", "baseline", "unit")} for row in results["rows"]},
    }


def sentence(figures: dict[str, Any]) -> str:
    """Return an experiment's figures as its header says them."""
    heads = []
    for name, head in figures["heads"].items():
        error = f"{name} {head['mae']:.3g} {head['unit']}".rstrip()
        heads.append(f"{error} ({100 * head['mae'] / head['baseline']:.1f} %)")
    took = f"{figures['parameters']:,} parameters, {figures['cpu_seconds']:.0f} s of CPU time."
    return f"{took} Test MAE, and relative to the mean baseline: {', '.join(heads)}."


def with_figures(text: str, figures: dict[str, Any]) -> str:
    """Return a config's text with its header's figures replaced; raise ValueError if it has none."""
    block = re.compile(r"^# [\d,]+ parameters, (?:.*\n# )*?.*\.$", re.MULTILINE)
    lines = textwrap.fill(sentence(figures), WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    text, count = block.subn(lambda _: lines, text, count=1)
    if not count:
        raise ValueError("the header has no line of figures, as in '# 9,786 parameters, 8 s of CPU time. ... (2.5 %).'")
    return text


def too_large(experiments: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the heads whose error is too large a share of the mean baseline's, other than the undetermined ones."""
    for experiment, figures in experiments.items():
        for name, head in figures["heads"].items():
            share = head["mae"] / head["baseline"]
            if not share <= MOST and (figures["synth"], name) not in UNDETERMINED:  # NaN is too large as well
                yield f"{experiment}: {name} {100 * share:.1f} % of the mean baseline, more than {100 * MOST:.0f} %"


def keep(experiment: str, figures: dict[str, Any]) -> None:
    """Write an experiment's figures into results.json and into its header."""
    results = json.loads(STORE.read_text())  # read again: another benchmark may have written meanwhile
    results["experiments"] = dict(sorted((results.get("experiments", {}) | {experiment: figures}).items()))
    path = ROOT / f"configs/experiment/{experiment}.yaml"
    write_whole(path, with_figures(path.read_text(), figures).encode())
    write_whole(STORE, (json.dumps(results, indent=1) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    parser.add_argument("--again", action="store_true", help="also those that have figures for their present config")
    parser.add_argument("--jobs", type=int, default=1, help="experiments at a time, one thread each")
    arguments = parser.parse_args()
    if unknown := set(arguments.experiments) - set(named_experiments()):
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    known = json.loads(STORE.read_text()).get("experiments", {})
    configs = {name: composed(name) for name in arguments.experiments or named_experiments()}
    if not arguments.again:
        configs = {name: one for name, one in configs.items() if known.get(name, {}).get("config") != digest(one)}
    failed = False
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(arguments.jobs) as pool:
        data_dir = Path(root, "data")
        for config in configs.values():
            make_data(config, data_dir)
        jobs = {pool.submit(measure, name, one, data_dir, Path(root, name)): name for name, one in configs.items()}
        try:
            for job in as_completed(jobs):
                name = jobs[job]
                try:
                    keep(name, job.result())
                    print(f"{name}: {sentence(job.result())}", flush=True)
                except (RuntimeError, ValueError) as error:
                    failed = True
                    print(f"{name}: {error}", file=sys.stderr, flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
    lines = list(too_large(json.loads(STORE.read_text())["experiments"]))
    print("\n".join(lines or [f"every head's error is at most {100 * MOST:.0f} % of the mean baseline's"]))
    sys.exit(failed)


if __name__ == "__main__":
    main()
