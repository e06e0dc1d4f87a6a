"""Run the experiments as a user would; write their cost and their errors into results.json and into their headers.

    python benchmarks/experiments.py                   # those without results for their present config
    python benchmarks/experiments.py --jobs 4          # four at a time, each with one thread
    python benchmarks/experiments.py example --again   # the named ones, whether or not they have results

Each experiment's results are written as soon as it ends, so that an interrupted run continues where it stopped. At the
end, the heads are listed whose error is more than half of the mean baseline's.
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

from src.utils.files import write_atomic
from src.utils.plain import to_plain

STORE = ROOT / "benchmarks/results.json"
ELSEWHERE = {"adapt_to_recordings"}  # they train on data that the user supplies
WIDTH = 114  # characters per line of a header
MOST = 0.5  # of the mean baseline's error: a head with a larger error has learned little
UNDETERMINED = {  # (synth, head) that the images do not determine, and why
    ("simple_saw_classic", "note_velocity"): "the whole range is 0.07 dB, a quarter of a byte level",
    ("instruments", "vibrato_rate"): "brass and guitar, two of the five instruments, have none",
    ("inversynth", "decay"): "it changes nothing in a third of the sounds",
    ("inversynth", "sustain"): "it changes nothing in a third of the sounds",
    **{
        ("inversynth", f"{shape}_{what}"): "four oscillators hide each other"
        for shape in ("sine", "saw", "triangle", "square")
        for what in ("note", "fm_rate", "level", "fm_depth")
    },
}
_OF_MAPS = 3  # figures in a header: pixel accuracy, mean IoU and mean Dice
_DECIDING = ("synth", "spectral", "dataset", "data", "model", "trainer", "callbacks", "seed", "monitor")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def named_experiments(root: Path = ROOT) -> list[str]:
    """Return the experiments whose config describes the data."""
    return sorted({path.stem for path in (root / "configs/experiment").glob("*.yaml")} - ELSEWHERE)


def composed(experiment: str) -> dict[str, Any]:
    """Return the parts of a config that determine an experiment's results, as plain containers."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", [f"experiment={experiment}", "trainer=cpu", "paths.root_dir=.", "paths.output_dir=."])
    plain = to_plain(config)
    if "ParametersTask" in plain["model"]["task"]["_target_"]:
        del plain["model"]["task"]  # the default, which the configs of older results lack
    return {key: plain[key] for key in _DECIDING}


def digest(config: dict[str, Any]) -> str:
    """Return a short hash of a composed config."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:12]


def make_data(config: dict[str, Any], data_dir: Path) -> None:
    """Make the dataset of an experiment unless it exists."""
    from src.data.vimh_datamodule import VIMHDataModule

    if "recipe" not in config["data"] or "data_dir" not in config["data"]:  # mixtures of notes have no files
        return
    recipe = {key: config[key] for key in ("synth", "spectral", "dataset")}
    VIMHDataModule(recipe=recipe, root=data_dir).prepare_data()


def measure(experiment: str, config: dict[str, Any], data_dir: Path, folder: Path) -> dict[str, Any]:
    """Train and test in a process of one thread; return parameters, CPU seconds and each head's errors.

    Raise RuntimeError with the end of its output if the process fails.
    """
    paths = (f"paths.data_dir={data_dir}", f"hydra.run.dir={folder}", f"paths.log_dir={folder / 'logs'}")
    command = [sys.executable, str(ROOT / "src/train.py"), f"experiment={experiment}", "trainer=cpu", *paths]
    folder.mkdir(parents=True)
    with (folder / "output").open("w") as output:
        streams: dict[str, Any] = {"stdout": output, "stderr": subprocess.STDOUT}
        child = subprocess.Popen([*command, "extras.num_threads=1"], env={**os.environ, **_ONE_THREAD}, **streams)
        _, status, used = os.wait4(child.pid, 0)  # the usage of this process and its workers only
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError((folder / "output").read_text()[-2000:])
    results = json.loads((folder / "test_results.json").read_text())
    (parameters,) = re.findall(r"model of ([\d,]+) parameters", (folder / "train.log").read_text())
    return {
        "parameters": int(parameters.replace(",", "")),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "synth": config["synth"]["name"],
        "config": digest(config),
        "heads": {row["name"]: {key: row[key] for key in ("mae", "baseline", "unit")} for row in results["rows"]},
        "accuracies": {row["name"]: row["accuracy"] for row in results["categories"]},
        "maps": {row["name"]: row["value"] for row in (results.get("maps") or {"figures": []})["figures"][:_OF_MAPS]},
    }


def sentence(results: dict[str, Any]) -> str:
    """Return an experiment's results as the sentence in its header."""
    heads = []
    for name, head in results["heads"].items():
        error = f"{name} {head['mae']:.3g} {head['unit']}".rstrip()
        heads.append(f"{error} ({100 * head['mae'] / head['baseline']:.1f} %)")
    text = f"{results['parameters']:,} parameters, {results['cpu_seconds']:.0f} s of CPU time."
    if heads:
        text += f" Test MAE, and relative to the mean baseline: {', '.join(heads)}."
    accuracies = [f"{name} {100 * share:.1f} %" for name, share in results.get("accuracies", {}).items()]
    if accuracies:
        text += f" Test accuracy: {', '.join(accuracies)}."
    maps = [f"{name} {100 * share:.1f} %" for name, share in results.get("maps", {}).items()]
    if maps:
        text += f" Test maps: {', '.join(maps)}."
    return text


def with_figures(text: str, results: dict[str, Any]) -> str:
    """Return a config's text with the results in its header replaced; raise ValueError if it has none."""
    block = re.compile(r"^# [\d,]+ parameters, (?:.*\n# )*?.*\.$(?!\n# Test )", re.MULTILINE)
    lines = textwrap.fill(sentence(results), WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    text, count = block.subn(lambda _: lines, text, count=1)
    if not count:
        raise ValueError("the header has no line of results, as in '# 9,786 parameters, 8 s of CPU time. ... (2.5 %).'")
    return text


def too_large(experiments: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the heads whose error is too large compared with the mean baseline's, except the undetermined heads."""
    for experiment, results in experiments.items():
        for name, head in results["heads"].items():
            share = head["mae"] / head["baseline"]
            if not share <= MOST and (results["synth"], name) not in UNDETERMINED:  # NaN is too large as well
                yield f"{experiment}: {name} {100 * share:.1f} % of the mean baseline, more than {100 * MOST:.0f} %"


def keep(experiment: str, results: dict[str, Any]) -> None:
    """Write an experiment's results into results.json and into its header."""
    content = json.loads(STORE.read_text())  # read again: another benchmark may have written to it
    content["experiments"] = dict(sorted((content.get("experiments", {}) | {experiment: results}).items()))
    path = ROOT / f"configs/experiment/{experiment}.yaml"
    write_atomic(path, with_figures(path.read_text(), results).encode())
    write_atomic(STORE, (json.dumps(content, indent=1) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    parser.add_argument("--again", action="store_true", help="also those with results for their present config")
    parser.add_argument("--jobs", type=int, default=1, help="experiments at a time, each with one thread")
    arguments = parser.parse_args()
    if unknown := set(arguments.experiments) - set(named_experiments()):
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    stored = json.loads(STORE.read_text()).get("experiments", {})
    configs = {name: composed(name) for name in arguments.experiments or named_experiments()}
    if not arguments.again:
        configs = {
            name: config for name, config in configs.items() if stored.get(name, {}).get("config") != digest(config)
        }
    failed = False
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(arguments.jobs) as pool:
        data_dir = Path(root, "data")
        for config in configs.values():
            make_data(config, data_dir)
        jobs = {
            pool.submit(measure, name, config, data_dir, Path(root, name)): name for name, config in configs.items()
        }
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
