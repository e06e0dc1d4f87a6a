"""Print what a search has found so far and write its report: `make sweep-report STUDY=vimh_optuna`."""

import argparse
import logging
from json import JSONDecodeError

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.cli.script import given_path, run_script
from src.search.report import show
from src.search.study import load_study, read_only_url
from src.utils.errors import PrintableFilter, UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?", default="vimh_optuna", help="name of the study, usually that of its config")
    parser.add_argument("--directory", type=given_path, help="hydra.sweep.dir of the search (logs/train/sweeps/STUDY)")
    parser.add_argument("--storage", help="hydra.sweeper.storage, if it is not a file in that directory")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger().handlers[0].addFilter(PrintableFilter())
    directory = arguments.directory or ROOT / "logs/train/sweeps" / arguments.study
    file = directory / "study.db"
    if not arguments.storage and not file.is_file():
        studies = ", ".join(sorted(path.parent.name for path in directory.parent.glob("*/study.db"))) or "none"
        raise UserError(f"{file} does not exist; studies there: {studies}")
    try:
        show(load_study(arguments.study, arguments.storage or read_only_url(file)), directory)
    except KeyError as error:
        raise UserError(f"{arguments.study}: there is no such study in {arguments.storage or file}") from error
    except JSONDecodeError as error:
        raise UserError(f"{arguments.storage or file}: the study is damaged ({error}); use a copy of it") from error


if __name__ == "__main__":
    run_script(main)
