"""List all training runs, the newest last: `make runs`, or `python src/runs.py`."""

import argparse
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from rich.console import Console  # noqa: E402
from rich.text import Text  # noqa: E402

from src.utils.runs_table import find_runs, overview, printable, shown_path, write_runs  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log_dir", nargs="?", type=Path, default=ROOT / "logs", help="paths.log_dir (default: logs)")
    parser.add_argument("--save", type=Path, metavar="STEM", help="also write STEM.csv and STEM.md, with all columns")
    arguments = parser.parse_args()
    root = arguments.log_dir / "train"
    found = find_runs(root)
    runs = [run for run in found if (run.directory / "run.json").exists()]
    console = Console()
    if runs:
        console.print(overview(runs, root))
        console.print(Text(f"newest: {printable(shown_path(runs[-1].directory))}"), soft_wrap=True)
    else:
        console.print(
            Text(f"{printable(str(root))} has no runs yet; train one with: python src/train.py"), soft_wrap=True
        )
    if left_out := len(found) - len(runs):
        ended = "1 command" if left_out == 1 else f"{left_out} commands"
        console.print(f"not listed: {ended} that ended before training began")
    if arguments.save:
        saved = write_runs(runs, arguments.save)
        console.print(Text(f"all columns: {', '.join(map(str, saved))}"), soft_wrap=True)


if __name__ == "__main__":
    main()
