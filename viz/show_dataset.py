"""Print what a dataset holds and save a picture of its first images: `make ddr`."""

import argparse
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.data.vimh_dataset import VIMHDataset
from src.evaluation.plots import image_figure, save_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, help="a VIMH directory; without it the newest below data")
    parser.add_argument("--match", default="", help="look only at names that contain this")
    arguments = parser.parse_args()
    found = sorted((ROOT / "data").glob("*/vimh_dataset_info.json"), key=lambda path: path.stat().st_mtime)
    found = [path.parent for path in found if arguments.match in path.parent.name]
    if not arguments.directory and not found:
        raise SystemExit(
            f"data holds no dataset{f' with {arguments.match}' if arguments.match else ''}; try `make sds`"
        )
    directory = arguments.directory or found[-1]
    dataset = VIMHDataset(directory)
    spec = dataset.spec
    print(f"{directory}\n  {spec.counts}, images (C, H, W) {spec.image_shape}")
    print(f"  {spec.synth_type}, {spec.duration} s at {spec.sample_rate} Hz")
    for one in spec.space:
        print(f"  {one.name}: {one.min:g}..{one.max:g} by {one.step:g} {one.unit}, {one.num_classes} classes")
    for row in spec.sensitivity:
        print(f"  {row['name']}: one step moves the image by {row['step_levels']:.2f} of 255 levels")
    rows = next(dataset.batches_by_shape(12))
    images = dataset.__getitems__(rows)["image"].numpy()
    values = spec.space.denormalize(dataset.targets()[rows])
    picture = ROOT / "logs" / f"{directory.name}.png"
    save_figure(image_figure(spec.space, images, values), picture)
    print(f"  picture: {picture}")


if __name__ == "__main__":
    main()
