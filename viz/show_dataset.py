"""Print what a dataset holds and save a picture of its first images: `make ddr`."""

import argparse

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.cli.script import given_path, run_script
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.dataset_picture import dataset_figure
from src.evaluation.plots import save_figure
from src.utils.table import show_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=given_path, help="a VIMH directory (the newest in data)")
    parser.add_argument("--match", default="", help="choose among the directories whose name contains MATCH")
    arguments = parser.parse_args()
    found = sorted((ROOT / "data").glob("*/vimh_dataset_info.json"), key=lambda path: path.stat().st_mtime)
    found = [path.parent for path in found if arguments.match in path.parent.name]
    if not arguments.directory and not found:
        raise SystemExit(
            f"data holds no dataset{f' with {arguments.match}' if arguments.match else ''}; to make one: make sds"
        )
    directory = arguments.directory or found[-1]
    dataset = VIMHDataset(directory)
    spec = dataset.spec
    counts = ", ".join(f"{count} {split}" for split, count in spec.counts.items())
    channels, height, width = spec.image_shape
    lines = [str(directory), f"  {counts}; images {height}x{width}, {channels} channel{'s' if channels > 1 else ''}"]
    if spec.origin.duration and spec.origin.sample_rate:
        lines.append(f"  {spec.origin.synth_type}, {spec.origin.duration:g} s at {spec.origin.sample_rate:g} Hz")
    effects = {row.name: row.step_levels for row in spec.origin.sensitivity}
    for parameter in spec.space:
        lines.append(f"  {parameter.name}: {parameter.describe_range()}, {parameter.num_classes} classes")
        if parameter.name in effects:
            lines.append(f"    a step changes the image by {effects[parameter.name]:.2f} of 255 levels")
    rows = next(dataset.batches_by_shape(12))
    batch = dataset.__getitems__(rows)
    values = spec.space.denormalize(dataset.targets()[rows])
    figure = dataset_figure(spec, batch["image"].numpy(), values, batch["scale"].numpy())
    picture = ROOT / "logs" / f"{directory.name}.png"
    save_figure(figure, picture)
    show_lines(*lines, f"  picture: {picture}")


if __name__ == "__main__":
    run_script(main)
