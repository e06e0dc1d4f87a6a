"""Compare tested runs on the same test sounds: `make compare RUNS="..."`, or `python src/compare.py RUN RUN ...`."""

import argparse
import webbrowser
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import wrap

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.cli.script import given_path, run_script  # noqa: E402
from src.evaluation.predictions_file import SplitPredictions  # noqa: E402
from src.evaluation.reports.comparison.comparison import compare  # noqa: E402
from src.evaluation.reports.comparison.page import write_page  # noqa: E402
from src.evaluation.reports.comparison.pairing import require_paired  # noqa: E402
from src.evaluation.reports.comparison.tables import print_comparison, write_comparison  # noqa: E402
from src.evaluation.reports.comparison.verdict import verdict  # noqa: E402
from src.run.methods import (  # noqa: E402
    TestedRun,
    facts,
    find_predictions,
    group_methods,
    learning_curves,
    method_of,
    notes_on,
    read_tested,
)
from src.utils.errors import UserError  # noqa: E402
from src.utils.files import path_text, shown_path  # noqa: E402
from src.utils.table import show_lines, terminal  # noqa: E402

_INFO_FILE = "vimh_dataset_info.json"  # as in src.data.info, which loads torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=given_path, help="directories of runs or of multiruns, predictions.npz")
    parser.add_argument("--baseline", help="a run or a method; it alone is compared with each other method")
    parser.add_argument("--latency", action="store_true", help="time each network, on one core of this machine")
    parser.add_argument("--trust", action="append", default=[], help="your own class that may be loaded")
    parser.add_argument("--data", type=given_path, help="the dataset, for images and sounds; by default data/NAME")
    parser.add_argument("--save", type=given_path, metavar="DIR", help="write there; by default to logs/compare/TIME")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    arguments = parser.parse_args()
    if arguments.data and not (arguments.data / _INFO_FILE).is_file():
        raise UserError(f"--data: {path_text(arguments.data)} holds no {_INFO_FILE}; give a VIMH directory")
    paths, without = find_predictions(arguments.runs)
    runs = [read_tested(path) for path in paths]
    if len(runs) < 2:
        raise UserError(f"{len(runs)} tested run given; give at least two, as in: python src/compare.py RUN RUN")
    notes = require_paired([(shown_path(run.path), run.predictions) for run in runs])
    methods = group_methods(runs)
    notes += notes_on(methods)
    if without:
        notes.append(f"Not compared, since untested: {', '.join(map(shown_path, without))}.")
    baseline = method_of(arguments.baseline, methods) if arguments.baseline else None
    predictions = {name: [run.predictions for run in of_method] for name, of_method in methods.items()}
    comparison = compare(predictions, baseline)
    latencies = measure(methods, arguments.trust) if arguments.latency else {}
    known = {name: facts(of_method, latencies.get(name)) for name, of_method in methods.items()}
    directory = arguments.save or ROOT / f"logs/compare/{datetime.now():%Y-%m-%d_%H-%M-%S}"
    written = write_comparison(comparison, known, notes, directory)
    dataset = arguments.data or dataset_of(predictions)
    curves = learning_curves(methods)
    page = write_page(comparison, known, notes, predictions, curves, directory, dataset, arguments.trust)
    print_comparison(comparison, known, notes, "comparison.md")
    names = ", ".join(path.name for path in written)
    answer = wrap(verdict(comparison), terminal().width)
    show_lines(*answer, f"page: {shown_path(page)}", f"beside it, all results: {names}")
    if arguments.open:
        webbrowser.open(page.resolve().as_uri())


def dataset_of(predictions: Mapping[str, Sequence[SplitPredictions]]) -> Path | None:
    """Return the directory of the dataset of a comparison; None if it is not in data/."""
    for runs in predictions.values():
        directory = ROOT / "data" / Path(str(runs[0].about.get("dataset"))).name
        if (directory / _INFO_FILE).is_file():
            return directory
    return None


def measure(methods: Mapping[str, Sequence[TestedRun]], trust: Sequence[str]) -> dict[str, float]:
    """Return the milliseconds that the first network of each method takes for one image."""
    from src.evaluation.latency import latencies_ms
    from src.models.build import load_checkpoint

    return latencies_ms({name: load_checkpoint(runs[0].checkpoint, trust) for name, runs in methods.items()})


if __name__ == "__main__":
    run_script(main)
