"""How fast each source of sounds renders, and what the default network learns of it: python benchmarks/sources.py

Speed is measured with one thread: blocks of clips are rendered, and then analysed, in turns, and the medians are kept.
The plug-ins are those of the Debian packages dpf-plugins-vst and mda-lv2; what is not installed is left out. Accuracy
is that of `src/train.py synth=NAME dataset.size=16384` with its default network, and after three iterations of
refinement, beside the mean, nearest neighbours, and the least error that the images allow. Results are kept in
benchmarks/sources.json; `--readme` writes the tables into docs.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from commands import measure_missing, processor
from generation import recipe_of
from kept import keep, load
from leaderboard import baselines, percent, refined_errors
from readme import update_block

from src.data.recipe import parse_recipe
from src.data.source import BLOCK, Source, load_source
from src.evaluation.predictions_file import read_predictions_file
from src.utils.errors import UnavailableError, UserError
from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/sources.json"
NEKOBI = "/usr/lib/vst/Nekobi-vst.so"
DX10 = "http://drobilla.net/plugins/mda/DX10"
NATIVE = ("two_oscillators", "fm", "karplus_strong", "additive", "inversynth")
LEARNED = (*NATIVE, "faust_saw_ladder", "instruments")
CLIPS = 16384
SEEDS = 3
_ROUNDS = 5
_FEW = 4  # clips of a plug-in, which takes up to a second for each


def _recipe(synth: str, **changes: Any) -> dict[str, Any]:
    """Return the recipe of a shipped synth with other keys of `synth`."""
    recipe = recipe_of(synth, CLIPS)
    return recipe | {"synth": recipe["synth"] | changes}


def _outside(voice: str, source: str, **changes: Any) -> dict[str, Any]:
    """Return a recipe of a source outside this program, of which all parameters vary."""
    return _recipe("simple_saw", voice=voice, source=source, parameters="auto", **{"settings": {}, **changes})


RENDERED: dict[str, Callable[[], dict[str, Any]]] = {
    "moog_basic": lambda: _recipe("moog_basic"),
    **{f"{name}": partial(_recipe, name) for name in NATIVE},
    "faust_saw_ladder, C compiler": lambda: _recipe("faust_saw_ladder", settings={"engine": "c"}),
    "faust_saw_ladder, DawDreamer": lambda: _recipe("faust_saw_ladder", settings={"engine": "dawdreamer"}),
    "instruments (Faust), C compiler": lambda: _recipe("instruments", settings={"engine": "c"}),
    "instruments (Faust), DawDreamer": lambda: _recipe("instruments", settings={"engine": "dawdreamer"}),
    "voice: stk, Clarinet": lambda: _outside("stk", "Clarinet", sample_rate=22050),
    "voice: stk, Rhodey": lambda: _outside("stk", "Rhodey", sample_rate=22050),
    "voice: plugin, Nekobi (VST2)": lambda: _outside("plugin", NEKOBI, sample_rate=44100),
    "voice: plugin, Nekobi, reused": lambda: _outside("plugin", NEKOBI, sample_rate=44100, settings={"reuse": True}),
    "voice: plugin, DX10 (LV2)": lambda: _outside("plugin", DX10, sample_rate=44100),
}


def measure_speed() -> None:
    """Measure how many clips a second each source renders and analyses, and keep it in the file of results."""
    sources: dict[str, Source] = {}
    for name, recipe in RENDERED.items():
        try:
            sources[name] = load_source(parse_recipe(recipe()))
        except (UnavailableError, UserError) as error:
            print(f"{name}: {error}", flush=True)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
    for turn in range(_ROUNDS + 1):
        for name, source in sources.items():
            count = _FEW if "plugin" in name and "reused" not in name else BLOCK
            values = source.synth.space.sample(0, turn * BLOCK, count, "random")
            began = time.perf_counter()
            audio = torch.from_numpy(source.synth.render(values)).T
            rendered = time.perf_counter()
            with torch.inference_mode():
                source.front_end(audio)
            if turn:  # the first compiles
                seconds[name].append(((rendered - began) / count, (time.perf_counter() - rendered) / count))
    done = load(STORE)
    for name, pairs in seconds.items():
        render, analyse = (statistics.median(values) for values in zip(*pairs, strict=True))
        config = sources[name].recipe.synth
        done[f"speed {name}"] = {
            "processor": processor(),
            "sample_rate": config.sample_rate,
            "duration": config.duration,
            "render": render,
            "analyse": analyse,
        }
    keep(STORE, done)


def speed_table() -> str:
    """Return the speeds as Markdown."""
    done = load(STORE)
    rows = []
    for name in RENDERED:
        found = done.get(f"speed {name}")
        if found:
            both = found["render"] + found["analyse"]
            length = f"{found['duration']:g} s, {found['sample_rate']:,} Hz"
            rows.append([name, length, _rounded(1 / found["render"]), _rounded(1 / both), _rounded(CLIPS * both)])
    columns = [Column("source", text=True), Column("a clip", text=True), Column("clips/s, sound")]
    columns += [Column("clips/s, sound and image"), Column(f"{CLIPS:,} clips, s")]
    return markdown(columns, rows)


def _rounded(value: float) -> str:
    """Return a number with three digits at most, none of them hidden in an exponent."""
    return f"{float(f'{value:.3g}'):,g}" if value < 1000 else f"{round(value, -2):,.0f}"


def words(synth: str) -> tuple[str, ...]:
    """Return the words of a command after src/train.py."""
    return (f"synth={synth}", f"dataset.size={CLIPS}")


def results_of(run: Path, data_dir: Path) -> dict[str, Any]:
    """Return the errors of all heads of a run as fractions of their ranges, before and after refinement.

    The error of a category is the fraction of wrong answers.
    """
    found = read_predictions_file(run / "predictions.npz")
    is_category = np.array([spec.kind == "categorical" for spec in found.space])
    errors = np.abs(found.value - found.truth).mean(axis=0) / (found.space.max - found.space.min)
    wrong = (found.level != found.true_level).mean(axis=0)
    return {
        "names": list(found.space.names),
        "errors": np.where(is_category, wrong, errors).tolist(),
        "limits": (found.image_limit / (found.space.max - found.space.min)).tolist(),
        "refined": refined_errors(run, data_dir),
    }


def measure_learned(seeds: int, data_dir: Path) -> None:
    """Train the default network on every source, as far as the file of results lacks it."""
    runs = {f"{' '.join(words(synth))} seed={seed}": (words(synth), seed) for seed in range(seeds) for synth in LEARNED}

    def shown(found: dict[str, Any]) -> str:
        return percent(found["errors"]) + " % of range"

    measure_missing(STORE, runs, partial(results_of, data_dir=data_dir), shown, data_dir)
    for synth in LEARNED:
        (directory,) = data_dir.glob(f"*_{CLIPS}dss_{synth}_*")
        if f"baselines {synth}" not in load(STORE):
            keep(STORE, load(STORE) | {f"baselines {synth}": baselines(directory)})


def learned_table() -> str:
    """Return what was learned of each source as Markdown: the parameters' errors, means over the finished seeds."""
    done = load(STORE)
    tables = []
    for synth in LEARNED:
        runs = [done[key] for seed in range(SEEDS) if (key := f"{' '.join(words(synth))} seed={seed}") in done]
        known = done.get(f"baselines {synth}")
        if not runs or not known:
            continue
        errors, refined = (np.mean([run[what] for run in runs], axis=0) for what in ("errors", "refined"))
        columns = [known["mean"], known["neighbours"], errors, refined, runs[0]["limits"]]
        rows = [[name, *(f"{100 * column[at]:.2g}" for column in columns)] for at, name in enumerate(runs[0]["names"])]
        rows.append(["mean", *(f"{100 * np.mean(column):.2g}" for column in columns)])
        heading = [Column(f"{synth}, {runs[0]['parameters']:,} weights", text=True)]
        heading += [Column(name) for name in ("mean", "neighbours", "network", "refine=3", "image limit")]
        seconds = np.mean([run["cpu_seconds"] for run in runs])
        tables.append(f"{markdown(heading, rows)}\n\n{len(runs)} seeds, {seconds:.0f} s of CPU time each.")
    return "\n\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--no-speed", action="store_true", help="only train")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where datasets are, or are made")
    parser.add_argument("--readme", action="store_true", help="write the tables into docs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.no_speed:
        measure_speed()
    measure_learned(given.seeds, given.data.resolve())
    print(f"{speed_table()}\n\n{learned_table()}")
    if given.readme:
        update_block("sources", speed_table())
        update_block("learned", learned_table())


if __name__ == "__main__":
    main()
