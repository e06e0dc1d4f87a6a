"""What a network is worth: its refined answers beside searches that begin anywhere, at equal numbers of renders.

    uv pip install cma
    python benchmarks/without_network.py --runs /tmp/runs
    python benchmarks/without_network.py --runs /tmp/runs --only simple_saw --sounds 8 --starts 1 2     # a minute

For sounds of the test split, as bytes: the refinement from random starts (Levenberg-Marquardt, 10 steps each), CMA-ES
(the package `cma`, restarted whenever it has converged) on the same residual, and the nearest of as many random
sounds. The renders are those that the refinement took, on average. `--runs` is where benchmarks/refinement.py keeps its
trained networks; their renders are those of the refinement alone. Each finished synth is kept in
benchmarks/without_network.json, and the table is written into docs.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import cma
import numpy as np
import torch
from readme import update_block
from refinement import EXPERIMENTS, images_of, predicted, trained

from src.data.source import Source
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.refinement.answers import Refiner, make_refiner
from src.evaluation.refinement.options import Options
from src.evaluation.refinement.problem import Problem, rms
from src.evaluation.refinement.refine import refine
from src.utils.files import write_atomic
from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/without_network.json"
_STEPS = 10  # of each random start
_NETWORK_STEPS = (3, 5)
_NEAR = 0.01  # of each parameter's range


@dataclass(frozen=True)
class Counted(Source):
    """A source that counts the images that it renders."""

    renders: list[int]

    def float_images(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.renders.append(len(values))
        return super().float_images(values)


def counted(source: Source) -> Counted:
    return Counted(source.recipe, source.synth, source.front_end, [])


def evolve(problem: Problem, budgets: list[int]) -> list[np.ndarray]:
    """Return the best parameters (n, P) that CMA-ES finds with each of these numbers of renders, which ascend."""
    count, width = problem.start.shape
    options = {"bounds": [0, 1], "verbose": -9}
    random = np.random.default_rng(0)

    def begin(row: int, at: int) -> cma.CMAEvolutionStrategy:
        return cma.CMAEvolutionStrategy(random.random(width), 0.3, options | {"seed": 1 + row + count * at})

    searches = [begin(row, 0) for row in range(count)]
    best, lowest = problem.start.copy(), np.full(count, np.inf)
    found, spent, restarts = [], 0, 0
    for budget in budgets:
        while spent < budget:
            asked = [np.array(search.ask()) for search in searches]
            size = len(asked[0])
            costs = rms(problem.residual(np.concatenate(asked), np.repeat(np.arange(count), size))).reshape(count, size)
            spent += size
            for row, (search, points, cost) in enumerate(zip(searches, asked, costs, strict=True)):
                search.tell(list(points), list(cost))
                if cost.min() < lowest[row]:
                    best[row], lowest[row] = points[cost.argmin()], cost.min()
                if search.stop():
                    restarts += 1
                    searches[row] = begin(row, restarts)
        found.append(best.copy())
    return found


def nearest(problem: Problem, budgets: list[int]) -> list[np.ndarray]:
    """Return the parameters (n, P) of the nearest of each of these numbers of random sounds, which ascend."""
    space = problem.source.synth.space
    points = space.normalize(space.sample(1, 0, budgets[-1]))
    images, _ = problem.source.images(space.denormalize(points))
    known = images.reshape(len(images), -1).astype(np.float32) / 255.0
    wanted = problem.images.reshape(len(problem), -1)
    distances = np.stack([np.square(known - one).sum(axis=1) for one in wanted])
    return [points[distances[:, :budget].argmin(axis=1)] for budget in budgets]


def measure(synth: str, runs: Path, count: int, starts: Iterable[int]) -> dict[str, Any]:
    """Return a row for each way and each number of renders."""
    model, directory = trained(synth, runs)
    dataset = VIMHDataset(directory, "test")
    truth = dataset.targets()[:count].astype(np.float64)
    refiner = make_refiner(model, model.spec, Options(iterations=1))
    source, space = refiner.source, refiner.source.synth.space
    images, scale = images_of(source, "bytes", dataset, space.denormalize(truth))
    middle = np.full_like(truth, 0.5)
    problem = Problem(source, images, scale, middle, middle, refiner.steps, "db")

    def row(what: str, renders: float, unit: np.ndarray) -> dict[str, Any]:
        error = np.abs(unit - truth)
        left = rms(problem.levels(unit, np.arange(count)))
        near = float((error < _NEAR).all(axis=1).mean())
        return {"what": what, "renders": renders, "levels": float(np.median(left)), "mean": error.mean(), "near": near}

    network = predicted(model, source, "bytes", images, scale)
    rows = [row("network", 0, space.normalize(network.values))]
    for steps in _NETWORK_STEPS:
        counting = counted(source)
        again = Refiner(counting, refiner.steps, Options(iterations=steps, residual="db"))
        _, refined = again.refine(network, images, scale, recorded=False)
        rows.append(row(f"network, {steps} steps", sum(counting.renders) / count, refined.unit))
    budgets = []
    for number in starts:
        counting = counted(source)
        options = Options(iterations=_STEPS, init="random", starts=number)
        found = refine(replace(problem, source=counting), options, rounded=True).unit
        budgets.append(round(sum(counting.renders) / count))
        rows.append(row(f"random starts: {number}", budgets[-1], found))
    for what, search in (("CMA-ES", evolve), ("nearest", nearest)):
        rows += [row(what, budget, unit) for budget, unit in zip(budgets, search(problem, budgets), strict=True)]
    return {"count": count, "rows": rows}


def table(done: dict[str, Any]) -> str:
    """Return all results as Markdown."""
    columns = [Column("synth", text=True), Column("search", text=True), Column("renders"), Column("levels")]
    columns += [Column("mean error, % of range"), Column("all within 1 %")]
    lines = []
    for synth in EXPERIMENTS:
        for row in done.get(synth, {}).get("rows", []):
            figures = [
                f"{row['renders']:.0f}",
                f"{row['levels']:.2g}",
                f"{100 * row['mean']:.2g}",
                f"{row['near']:.0%}",
            ]
            lines.append([synth, row["what"], *figures])
    return markdown(columns, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="a folder for the trained networks and their data")
    parser.add_argument("--sounds", type=int, default=64, help="of the test split")
    parser.add_argument("--starts", type=int, nargs="+", default=[1, 4, 16], help="numbers of random starts")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS), help="these synths")
    given = parser.parse_args()
    torch.set_num_threads(1)
    done = json.loads(STORE.read_text()) if STORE.exists() else {}
    for synth in given.only:
        done[synth] = measure(synth, given.runs.resolve(), given.sounds, sorted(given.starts))
        write_atomic(STORE, (json.dumps(done, indent=1) + "\n").encode())
        print(table({synth: done[synth]}), flush=True)
    update_block("without_network", table(done))


if __name__ == "__main__":
    main()
