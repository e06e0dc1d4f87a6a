"""Print what a dataset holds and write a page that shows it: `make ddr`."""

import argparse
import textwrap
import webbrowser

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.cli.script import given_path, local_trust, run_script
from src.data.vimh.reader import has_split
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.reports.dataset.page import write_dataset_page
from src.utils.files import shown_path
from src.utils.table import show_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=given_path, help="a VIMH directory (the newest in data)")
    parser.add_argument("--match", default="", help="choose among the directories whose name contains MATCH")
    parser.add_argument("--trust", nargs="+", default=[], metavar="PATH", help="your own voices or modules")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    arguments = parser.parse_args()
    found = sorted((ROOT / "data").glob("*/vimh_dataset_info.json"), key=lambda path: path.stat().st_mtime)
    found = [path.parent for path in found if arguments.match in path.parent.name]
    if not arguments.directory and not found:
        raise SystemExit(
            f"data holds no dataset{f' with {arguments.match}' if arguments.match else ''}; to make one: make sds"
        )
    directory = arguments.directory or found[-1]
    known = [split for split in ("train", "val", "test") if has_split(directory, split)] or ["train"]
    splits = {split: VIMHDataset(directory, split) for split in known}
    spec = splits[known[0]].spec
    counts = ", ".join(f"{len(dataset):,} {split}" for split, dataset in splits.items())
    channels, height, width = spec.image_shape
    lines = [str(directory), f"  {counts}; images {height}x{width}, {channels} channel{'s' if channels > 1 else ''}"]
    if spec.origin.duration and spec.origin.sample_rate:
        lines.append(f"  {spec.origin.synth_type}, {spec.origin.duration:g} s at {spec.origin.sample_rate:g} Hz")
    effects = {row.name: row.step_levels for row in spec.origin.sensitivity}
    for parameter in spec.space:
        described = f"  {parameter.name}: {parameter.describe_range()}, {parameter.num_classes} classes"
        lines += textwrap.wrap(described, 80, subsequent_indent="    ", break_on_hyphens=False)
        if parameter.name in effects:
            lines.append(f"    a step changes the image by {effects[parameter.name]:.2f} of 255 levels")
    trust = [*arguments.trust, *local_trust(ROOT)]
    page = write_dataset_page(splits, ROOT / "logs" / f"{directory.name}.html", trust)
    show_lines(*lines, f"  page: {shown_path(page)}")
    if arguments.open:
        webbrowser.open(page.resolve().as_uri())


if __name__ == "__main__":
    run_script(main)
