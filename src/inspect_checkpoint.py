"""Show what a checkpoint says of itself, and on request how fast it predicts: `make inspect`, `make infer`."""

import argparse
import logging
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.cli.script import given_path, run_script  # noqa: E402
from src.run.checkpoints import find_checkpoint  # noqa: E402
from src.run.record import read_record  # noqa: E402
from src.utils.errors import UserError  # noqa: E402
from src.utils.files import shown_path  # noqa: E402
from src.utils.table import Column, show, show_lines  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="?", default="best", help="a .ckpt file, best or last (best)")
    parser.add_argument("--time", action="store_true", help="predict one sound instead, and time each step")
    parser.add_argument("--sound", type=given_path, help="with --time: a sound file instead of the synth's")
    parser.add_argument("--trust", nargs="+", default=[], help="with --time: your own code that the file may name")
    parser.add_argument("--logs", type=given_path, default=ROOT / "logs", help="where best and last are looked for")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")  # warnings, on stderr
    path = find_checkpoint(str(given_path(arguments.checkpoint)), arguments.logs)
    show_lines(shown_path(path), "")
    if arguments.time:
        show_forward(path, arguments.sound, tuple(arguments.trust))
        return
    from src.run.checkpoint_card import read_card, show_card

    sessions = read_record(path.parent.parent)
    show_card(read_card(path), sessions[-1] if sessions else {}, path.stat().st_size)


def show_forward(path: Path, sound: Path | None, trust: tuple[str, ...]) -> None:
    """Print the time of each step of a prediction on one thread, and its values."""
    import numpy as np
    import torch

    from src.evaluation.forward_timing import REPEATS, middle_sound, time_forward
    from src.evaluation.predict import make_front_end
    from src.models.build import load_checkpoint
    from src.models.tasks.parameters import predicts_parameters
    from src.spectral.audio_file import read_clip

    torch.set_num_threads(1)
    model = load_checkpoint(path, trust)
    name, clip = "a black image", None
    if sound is not None:
        front_end = make_front_end(model.spec)
        name, clip = str(sound), read_clip(sound, front_end.sample_rate, front_end.num_samples, None)
    elif model.spec.origin.spectral is not None:
        name, clip = middle_sound(model, trust)
    done = time_forward(model, name, clip)
    total = sum(done.seconds.values())
    rows = [[step, f"{1000 * seconds:.3f}"] for step, seconds in done.seconds.items()]
    rows.append(["all", f"{1000 * total:.3f}"])
    note = f"median of {REPEATS} repeats on one thread"
    show([Column("step", text=True), Column("ms")], rows, f"One prediction: {name}", note, sections={len(rows) - 1})
    if not np.isfinite(done.values).all():
        raise UserError(f"{path}: the model predicts values that are not finite; train it again")
    if not predicts_parameters(model):
        show_lines("all output values are finite")
        return
    columns = [Column("parameter", text=True), Column("value"), Column("range", text=True)]
    space = model.spec.space
    rows = [[one.name, one.format(value), one.describe_range()] for one, value in zip(space, done.values, strict=True)]
    slack = 1e-6 * (space.max - space.min)  # for the rounding of float32
    inside = (done.values >= space.min - slack) & (done.values <= space.max + slack)
    outside = [name for name, is_inside in zip(space.names, inside, strict=True) if not is_inside]
    show(columns, rows, caption="all values are finite and in range" if inside.all() else f"out of range: {outside}")


if __name__ == "__main__":
    run_script(main)
