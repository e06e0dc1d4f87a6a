"""Does it help to average the predictions of an image that is shifted in time? python benchmarks/time_shifts.py

    python benchmarks/time_shifts.py --epochs 2 --size 4096 --seeds 1 --keep /tmp/look.json     # half a minute

The networks see sounds that begin with the clip, and the same sounds LATE seconds later. Predictions are averaged over
images whose columns are shifted by fractions of a frame (test-time augmentation; Shorten & Khoshgoftaar, A survey on
Image Data Augmentation for Deep Learning, J. Big Data 6, 2019). For comparison, late sounds are cut at their onset as
by `segment=onsets`. The table is written into docs unless --keep is given.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import soundfile
import torch
from calibration import trained
from ood import LATE, source_of
from readme import update_block

from src.cli.instantiate import quiet_lightning
from src.evaluation.intervals import interval, resampled_means, significant
from src.evaluation.predict import clip_image, make_front_end
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.segments import Onsets, Segmentation, find_segments
from src.utils.errors import UserError
from src.utils.files import write_atomic
from src.utils.table import Column, markdown, show

STORE = ROOT / "benchmarks/time_shifts.json"
SYNTHS = ("moog_basic", "simple_saw")
COUNT = 500  # sounds: the same for all networks
SUB_FRAMES, FRAMES = (-0.1, 0.0, 0.1), (-1.0, 0.0, 1.0)  # a frame is 32 ms
BASE = "as it is"
CASES = {
    BASE: ("on time", (0.0,)),
    "mean over +-0.1 frames": ("on time", SUB_FRAMES),
    "mean over +-1 frame": ("on time", FRAMES),
    "late": ("late", (0.0,)),
    "late, mean over +-1 frame": ("late", FRAMES),
    "late, cut at the onset": ("cut", (0.0,)),
}


def shifted(image: torch.Tensor, frames: float) -> torch.Tensor:
    """Return images (B, C, H, W) `frames` later, interpolated linearly in dB; the floor comes before, the end after."""
    whole = math.floor(frames)
    neighbours = []
    for columns in (whole, whole + 1):
        source = torch.arange(image.shape[3]) - columns
        moved = image[..., source.clamp(0, image.shape[3] - 1)]
        neighbours.append(torch.where(source >= 0, moved, 0.0))
    return torch.lerp(neighbours[0], neighbours[1], frames - whole)


def cut_at_onsets(sounds: np.ndarray, rate: int) -> np.ndarray:
    """Return sounds (n, T) that begin at their first onset, those without one as they are."""
    cut, settings = sounds.copy(), Segmentation(segment="onsets", onsets=Onsets(), hop=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        for row, sound in enumerate(sounds):
            soundfile.write(path, sound, rate, subtype="FLOAT")
            try:
                start = find_segments(path, rate, len(sound), None, settings)[1][0]
            except UserError:  # no onset
                continue
            cut[row] = np.pad(sound[start:], (0, start))
    return cut


def sounds_of(synth: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return true values (n, P), and the sounds (n, T) float32 on time, late, and late but cut at the onset."""
    source = source_of(synth)
    values = source.synth.space.sample(1, 0, COUNT)  # seed 1: not the dataset's sounds
    sounds, rate = source.sounds(values).astype(np.float32), source.synth.config.sample_rate
    late = np.pad(sounds, ((0, 0), (round(LATE * rate), 0)))[:, : sounds.shape[1]]
    return values, {"on time": sounds, "late": late, "cut": cut_at_onsets(late, rate)}


def measure(model: VIMHLitModule, truth: np.ndarray, sounds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return by case the absolute errors (n, P) of the mean predictions, in the parameters' units."""
    front_end, images = make_front_end(model.spec), {}
    for name, clips in sounds.items():
        pictures, scales = zip(*(clip_image(front_end, clip) for clip in clips), strict=True)
        images[name] = torch.cat(pictures), torch.cat(scales)
    errors = {}
    for name, (kind, shifts) in CASES.items():
        image, scale = images[kind]
        with torch.inference_mode():
            answers = [model.values(shifted(image, frames), scale) for frames in shifts]
        errors[name] = np.abs(torch.stack(answers).mean(dim=0).numpy() - truth)
    return errors


def compare(errors: list[dict[str, np.ndarray]], at: int) -> dict[str, Any]:
    """Return one parameter's mean absolute error, and by case its ratio to that with the 95 % interval over sounds."""
    means = {name: np.mean([one[name][:, at] for one in errors], axis=0) for name in CASES}
    draws = resampled_means(np.column_stack(list(means.values())))
    row: dict[str, Any] = {"mae": float(means[BASE].mean()), "ratios": {}}
    for number, (name, values) in enumerate(means.items()):
        if name != BASE:
            ratio = float(values.mean() / means[BASE].mean())
            row["ratios"][name] = [ratio, *(interval(draws[:, number] / draws[:, 0], len(values)) or ())]
    return row


def table(content: dict[str, Any]) -> tuple[list[Column], list[list[str]]]:
    """Return a row for each parameter: its error, and the ratios to it."""
    names = [name for name in CASES if name != BASE]
    columns = [Column("synth", text=True), Column("parameter", text=True), Column("MAE"), *map(Column, names)]
    lines = []
    for synth, rows in content["rows"].items():
        for parameter, row in rows.items():
            ratios = [[significant(number, 2) for number in row["ratios"][name]] for name in names]
            cells = [f"{ratio} ({low}..{high})" for ratio, low, high in ratios]
            lines.append([synth, parameter, significant(row["mae"], 2), *cells])
    return columns, lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20480)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, default=STORE)
    arguments = parser.parse_args()
    quiet_lightning()
    torch.set_num_threads(1)
    content: dict[str, Any] = {"settings": {key: getattr(arguments, key) for key in ("size", "epochs", "seeds")}}
    content["rows"] = {}
    for synth in SYNTHS:
        truth, sounds = sounds_of(synth)
        models = [
            trained("regression", synth, arguments.size, arguments.epochs, seed)[0] for seed in range(arguments.seeds)
        ]
        errors = [measure(model.eval(), truth, sounds) for model in models]
        names = models[0].spec.space.names
        content["rows"][synth] = {name: compare(errors, at) for at, name in enumerate(names)}
        write_atomic(arguments.keep, (json.dumps(content, indent=1) + "\n").encode())
    columns, lines = table(content)
    note = (
        f"cnn_micro, {arguments.size:,} clips, {arguments.epochs} epochs, regression heads, {COUNT} sounds, mean over "
        f"{arguments.seeds} seeds. Errors are relative to the MAE, in brackets with their paired 95 % interval over "
        f"sounds; late: by {1000 * LATE:g} ms"
    )
    show(columns, lines, caption=note)
    if arguments.keep == STORE:
        update_block("time shifts", f"{markdown(columns, lines)}\n\n{note}.")


if __name__ == "__main__":
    main()
