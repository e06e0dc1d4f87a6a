"""Draw every transform of training samples, and say which heads allow it: `make augment-check`."""

import argparse
from dataclasses import replace
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.cli.instantiate import build
from src.cli.script import given_path, run_script
from src.data.augment.augmentation import TRANSFORMS, Augmentation, parse_augmentation
from src.data.augment.loading import NumberedDataset
from src.data.augment.mix import Mix
from src.data.datamodule import BatchDataModule
from src.data.dataset import images_to_float
from src.evaluation.plots import save_figure
from src.models.augmentable import Verdict, judge
from src.models.build import build_model
from src.utils.errors import UserError, one_line
from src.utils.files import shown_path
from src.utils.plain import to_plain
from src.utils.table import Column, show, show_lines

SAMPLES = 4
OPERATIONS: dict[str, Any] = {
    "operations": {"rotate": {}, "elastic": {}, "erase": {}}
}  # of rand_augment, if the config has none
EXPLAINED = "explained: the share of a change that changes of parameters explain, measured by rendering sounds"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", help="of src/train.py, as in experiment=digits")
    parser.add_argument("--output", type=given_path, default=ROOT / "logs/augmentation.png", help="the picture")
    arguments = parser.parse_args()
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        try:
            config = compose("train", [*arguments.overrides, f"paths.output_dir={ROOT / 'logs'}"])
        except HydraException as error:
            raise UserError(one_line(error)) from error
    data = build(config.data, "data")
    spec = data.spec
    task = build_model(to_plain(config.model), spec).heads
    given = to_plain(config.data).get("augment") or {}
    everything = {name: parse_augmentation({name: settings_of(name, given)}, data.seed) for name in TRANSFORMS}
    verdicts: dict[str, Verdict] = {}
    chosen = {}
    for name, single in everything.items():
        if single is not None:
            found, level = judge(single, spec, task, data.trust)
            verdicts |= found
            chosen[name] = replace(single, level=level)
    suited = {name: single for name, single in chosen.items() if not verdicts[name].fault}
    rows = [[name, _percent(verdicts[name]), _judged(verdicts[name], suited[name], given)] for name in suited]
    columns = [Column("transform"), Column("explained"), Column("heads", text=True)]
    left_out = [f"left out: {name}: {one.fault}" for name, one in verdicts.items() if one.fault and name in given]
    show(columns, rows, f"{spec.name}: transforms with the settings of data.augment, or with defaults", EXPLAINED)
    show_lines(*left_out)
    save_figure(draw(data, suited), arguments.output)
    show_lines(f"picture: {shown_path(arguments.output)}")


def settings_of(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return a transform's settings in a config, otherwise its defaults."""
    return given.get(name) or (OPERATIONS if name == "rand_augment" else {})


def _percent(verdict: Verdict) -> str:
    return "" if verdict.explained is None else f"{verdict.explained:.0%}"


def _judged(verdict: Verdict, single: Augmentation, given: dict[str, Any]) -> str:
    (name,) = single.transforms
    if verdict.heads:
        return f"refused for {verdict.causes}"
    moved = f", and the label of {single.level.spec.name} moves with it" if single.level is not None else ""
    return f"all allow it{moved}{', in use' if name in given else ''}"


def draw(data: BatchDataModule, suited: dict[str, Augmentation]) -> Figure:
    """Return a figure with a row for each transform: samples as they are, each with the changed one beside it."""
    dataset = data.dataset("train")
    rows = np.arange(min(SAMPLES, len(dataset)))
    figure = Figure(figsize=(2.2 * len(rows) + 1.2, 1.15 * len(suited)), layout="constrained")
    axes = figure.subplots(len(suited), 2 * len(rows), squeeze=False)
    for line, (name, augmentation) in zip(axes, suited.items(), strict=True):
        mixes = isinstance(augmentation.transforms[name], Mix)
        served = np.concatenate([rows, augmentation.partners(rows, 0, len(dataset))]) if mixes else rows
        batch = NumberedDataset(dataset).__getitems__(served)
        batch = {**batch, "image": images_to_float(batch["image"])}
        changed = augmentation(batch, 0)["image"]
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        for at in range(len(rows)):
            for axis, image in zip(line[2 * at : 2 * at + 2], (batch["image"][at], changed[at]), strict=True):
                _show(axis, image, data.spec.inputs.kind == "spectral")
    for at, axis in enumerate(axes[0]):
        axis.set_title("changed" if at % 2 else "as it is", fontsize=8)
    return figure


def _show(axis: Axes, image: torch.Tensor, spectral: bool) -> None:
    """Draw the first channel of an image, or a picture of three in colour."""
    colour = image.shape[0] == 3 and not spectral
    pixels = image.permute(1, 2, 0) if colour else image[0]
    axis.imshow(
        pixels.numpy(),
        cmap="magma" if spectral else "gray",
        vmin=0,
        vmax=1,
        origin="lower" if spectral else "upper",
        aspect="auto",
    )
    axis.set_xticks([])
    axis.set_yticks([])


if __name__ == "__main__":
    run_script(main)
