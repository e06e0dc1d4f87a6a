"""List all training runs, the newest last: `make runs`, or `python src/runs.py`."""

import argparse

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.cli.script import given_path, run_script  # noqa: E402
from src.run.table import find_runs, show_overview, write_runs  # noqa: E402
from src.utils.files import shown_path  # noqa: E402
from src.utils.table import show_lines  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log_dir", nargs="?", type=given_path, default=ROOT / "logs", help="paths.log_dir (logs)")
    parser.add_argument("--save", type=given_path, metavar="STEM", help="write all columns to STEM.csv and STEM.md")
    arguments = parser.parse_args()
    root = arguments.log_dir / "train"
    found = find_runs(root)
    runs = [run for run in found if (run.directory / "run.json").exists()]
    if runs:
        show_overview(runs, root)
        lines = [f"newest: {shown_path(runs[-1].directory)}"]
    else:
        lines = [f"{root} has no runs yet; train one with: python src/train.py"]
    if left_out := len(found) - len(runs):
        ended = "1 command" if left_out == 1 else f"{left_out} commands"
        lines.append(f"not listed: {ended} that ended before training began")
    if arguments.save:
        saved = write_runs(runs, arguments.save)
        lines.append(f"all columns: {', '.join(map(str, saved))}")
    show_lines(*lines)


if __name__ == "__main__":
    run_script(main)
