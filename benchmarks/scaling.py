"""How the error falls with more training sounds and with more parameters: python benchmarks/scaling.py

Every run takes 8,192 steps of 128 images with the recipe of experiment=yardstick, so that only what is varied differs:
the number of different sounds, or the size of the network. In the column "each new", no sound comes twice. All networks
of a synth are tested on the same 13,108 sounds of another dataset. A power law with a floor, error = floor + factor *
x^-exponent, is fitted to the logarithms of the errors; its interval comes from drawing the seeds again. Finished runs
are kept in benchmarks/scaling.json. `--readme` writes the table and docs/scaling.png. About an hour on one core.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import leaderboard
import numpy as np
import torch
from bare import bare_trainer
from generation import recipe_of
from hydra import compose, initialize_config_dir
from kept import keep, load
from lightning import seed_everything
from matplotlib.figure import Figure
from readme import update_block
from scipy.optimize import least_squares

from src.cli.instantiate import quiet_lightning
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_online_datamodule import VIMHOnlineDataModule
from src.evaluation.plots import save_figure
from src.evaluation.predict import estimate_dataset
from src.models.build import build_model
from src.utils.plain import to_plain
from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/scaling.json"
SYNTHS = ("moog_basic", "moog_envelope")
CLIPS = (1024, 4096, 16384, 65536, 262144, 1048576)
NETWORKS = ("frames_micro", "frames_7k", "frames_29k", "frames_74k")  # of the leaderboard
NETWORK, MANY = "frames_7k", 1048576  # while the other is varied
ONLINE = 0  # clips of a file: each sound is rendered for one step, and no sound comes twice
STEPS, BATCH_SIZE, SEEDS = 8192, 128, 3
_TESTED = 16384  # clips of a dataset of which the training split, which is the largest, is the test
_TEST_SEED = 1000
_DRAWS = 200


class Point(NamedTuple):
    """A network trained on so many clips of a synth."""

    synth: str
    network: str
    clips: int

    def key(self, seed: int) -> str:
        """Return the key of one of its runs in the file of results."""
        sounds = "online" if self.clips == ONLINE else f"{self.clips} clips"
        return f"{self.synth} {self.network} {sounds} seed {seed}"


def points() -> list[Point]:
    """Return all points: of both curves of each synth, then those of sounds that are rendered during training."""
    varied = [(NETWORK, clips) for clips in CLIPS] + [(network, MANY) for network in NETWORKS if network != NETWORK]
    varied.append((NETWORK, ONLINE))
    return [Point(synth, *pair) for pair, synth in product(varied, SYNTHS)]


def recipe_for(synth: str, clips: int, seed: int = 0) -> dict:
    """Return the recipe of a dataset."""
    recipe = recipe_of(synth, clips)
    return recipe | {"dataset": recipe["dataset"] | {"seed": seed}}


def training_data(point: Point, seed: int, data_dir: Path) -> VIMHDataModule:
    """Return the sounds of a point."""
    settings: dict[str, Any] = {"root": data_dir, "batch_size": BATCH_SIZE, "seed": seed}
    if point.clips != ONLINE:
        return VIMHDataModule(recipe=recipe_for(point.synth, point.clips), **settings)
    recipe = recipe_for(point.synth, _TESTED)
    return VIMHOnlineDataModule(epoch_size=STEPS * BATCH_SIZE, workers=0, recipe=recipe, **settings)


def run_one(point: Point, seed: int, data_dir: Path) -> dict:
    """Train one network; return its mean error over heads, as a fraction of the range, and its number of parameters."""
    seed_everything(seed, verbose=False)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        words = ["experiment=yardstick", *leaderboard.NETWORKS[point.network].overrides, "paths.output_dir=."]
        config = to_plain(compose("train", words).model)
    data = training_data(point, seed, data_dir)
    module = build_model(config, data.spec)
    trainer = bare_trainer(-1, max_steps=STEPS)
    trainer.fit(module, datamodule=data)
    tested = VIMHDataModule(recipe=recipe_for(point.synth, _TESTED, _TEST_SEED), root=data_dir)
    split = tested.dataset("train")
    space = data.spec.space
    answers = space.normalize(estimate_dataset(module, split).values)
    errors = np.abs(answers - split.targets()).mean(axis=0)
    return {
        "nmae": float(errors.mean()),
        "errors": errors.tolist(),
        "parameters": sum(p.numel() for p in module.parameters()),
    }


def fit(x: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return floor, factor and exponent of errors (n,) over x (n,), by least squares of logarithms."""
    steps = np.log(x / x.min())

    def curve(found: np.ndarray) -> np.ndarray:
        floor, factor, exponent = np.exp(found)
        return np.log(floor + factor * np.exp(-exponent * steps))

    start = np.log([errors.min() / 2, errors.max(), 0.5])
    bounds = ([-20, -20, -5], [np.log(errors.min()), np.log(errors.max()) + 3, 2])
    found = least_squares(lambda values: curve(values) - np.log(errors), start, bounds=bounds)
    return np.exp(found.x)


def exponents(x: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return the exponent of errors (points, seeds) over x (points,), then the ends of its 95 % interval."""
    random = np.random.default_rng(0)
    logarithms = np.log(errors)
    drawn = []
    for _ in range(_DRAWS):
        chosen = random.integers(0, errors.shape[1], errors.shape)
        drawn.append(fit(x, np.exp(np.take_along_axis(logarithms, chosen, axis=1).mean(axis=1)))[2])
    return np.array([fit(x, np.exp(logarithms.mean(axis=1)))[2], *np.quantile(drawn, [0.025, 0.975])])


class Curve(NamedTuple):
    """The errors of a synth over one of the two quantities."""

    synth: str
    what: str
    x: np.ndarray  # (points,)
    errors: np.ndarray  # (points, seeds), in % of the range
    online: float | None = None  # the mean error if no sound comes twice


def curves(done: dict[str, dict]) -> list[Curve]:
    """Return the curves whose points are all finished, with as many seeds as all have."""
    found = []
    for synth in SYNTHS:
        by_clips = [Point(synth, NETWORK, clips) for clips in CLIPS]
        by_size = [Point(synth, network, MANY) for network in NETWORKS]
        for what, of_curve in (("sounds", by_clips), ("parameters", by_size)):
            seeds = [seed for seed in range(SEEDS) if all(point.key(seed) in done for point in of_curve)]
            if not seeds:
                continue
            runs = [[done[point.key(seed)] for seed in seeds] for point in of_curve]
            x = [
                row[0]["parameters"] if what == "parameters" else point.clips
                for point, row in zip(of_curve, runs, strict=True)
            ]
            errors = [[100 * run["nmae"] for run in row] for row in runs]
            online = None
            fresh = [Point(synth, NETWORK, ONLINE).key(seed) for seed in seeds]
            if what == "sounds" and all(key in done for key in fresh):
                online = 100 * float(np.mean([done[key]["nmae"] for key in fresh]))
            found.append(Curve(synth, what, np.array(x, float), np.array(errors), online))
    return found


def table(found: Sequence[Curve]) -> str:
    """Return the curves as Markdown: mean errors, and the exponents of their power laws."""
    parts = []
    for what in ("sounds", "parameters"):
        of_what = [curve for curve in found if curve.what == what]
        if not of_what:
            continue
        columns = [Column(what, text=True), *(Column(f"{value:,.0f}") for value in of_what[0].x)]
        if what == "sounds":
            columns.append(Column("each new"))
        columns += [Column("exponent"), Column("95 % interval"), Column("floor"), Column("seeds")]
        rows = []
        for curve in of_what:
            floor = fit(curve.x, np.exp(np.log(curve.errors).mean(axis=1)))[0]
            exponent, low, high = exponents(curve.x, curve.errors)
            cells = [f"{mean:.3g}" for mean in curve.errors.mean(axis=1)]
            if what == "sounds":
                cells.append("" if curve.online is None else f"{curve.online:.3g}")
            seeds = curve.errors.shape[1]
            interval = f"{low:.2f}..{high:.2f}" if seeds > 1 else ""
            rows.append([curve.synth, *cells, f"{exponent:.2f}", interval, f"{floor:.2g}", str(seeds)])
        parts.append(markdown(columns, rows))
    return "\n\n".join(parts)


def draw(found: Sequence[Curve]) -> Figure:
    """Draw errors over sounds and over parameters, with the fitted power laws."""
    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    axes = dict(zip(("sounds", "parameters"), figure.subplots(1, 2, sharey=True), strict=True))
    for curve in found:
        axis = axes[curve.what]
        (points_drawn,) = axis.loglog(curve.x, curve.errors.mean(axis=1), "o", label=curve.synth)
        colour = points_drawn.get_color()
        axis.vlines(curve.x, curve.errors.min(axis=1), curve.errors.max(axis=1), color=colour)
        floor, factor, exponent = fit(curve.x, np.exp(np.log(curve.errors).mean(axis=1)))
        x = np.geomspace(curve.x.min(), curve.x.max(), 100)
        axis.loglog(x, floor + factor * (x / curve.x.min()) ** -exponent, color=colour, linewidth=1)
    axes["sounds"].set(xlabel="different sounds", ylabel="test error, % of range")
    axes["parameters"].set(xlabel="parameters of the network")
    for axis in axes.values():
        axis.grid(True, which="both", alpha=0.3)
        axis.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synths", nargs="+", choices=SYNTHS, default=SYNTHS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where datasets are, or are made: 4 GB")
    parser.add_argument("--readme", action="store_true", help="write the table and the picture into docs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quiet_lightning()
    done = load(STORE)
    for seed, point in product(range(given.seeds), points()):
        if point.synth in given.synths and point.key(seed) not in done:
            done[point.key(seed)] = run_one(point, seed, given.data.resolve())
            keep(STORE, done)
            print(f"{point.key(seed)}: {100 * done[point.key(seed)]['nmae']:.3g} % of range", flush=True)
    found = curves(done)
    print(table(found))
    if given.readme:
        save_figure(draw(found), ROOT / "docs/scaling.png")
        update_block("scaling", table(found))


if __name__ == "__main__":
    main()
