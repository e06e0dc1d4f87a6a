"""Find a sound's parameters by gradient steps from random starts, without a network, loss by loss.

    python benchmarks/gradient_recovery.py

The sounds are of moog_basic. Adam steps on the unit scale of the parameters, which are clamped to their ranges; the
learning rate falls from 0.04 to 0 as a cosine. The front end's loss sees the images as bytes, the others the waveform.
Prints the table of docs/differentiable_voices.md, which says what its columns are, and writes it there.
"""

import argparse
import math
from collections.abc import Callable

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from generation import recipe_of
from readme import update_block
from torch import Tensor

from src.data.recipe import parse_recipe
from src.data.source import Source, load_source
from src.models.losses.sound.cumulative import CumulativeSpectralLoss, SpectralOptimalTransportLoss
from src.models.losses.sound.envelope import EnvelopeLoss
from src.models.losses.sound.multi_scale import MultiScaleSpectralLoss
from src.parameters.codec import to_physical
from src.utils.table import Column, markdown

SOUNDS, STEPS, LEARNING_RATE = 200, 200, 0.04
SHOWN = (25, 50, 100, 150, 200)  # steps
Distance = Callable[[Tensor], Tensor]  # audio (B, T) -> distances, summed over the sounds, which do not interact


def distances(source: Source, audio: Tensor) -> dict[str, Distance]:
    """Return each loss as a function of the rendered sounds, for target sounds (B, T)."""
    image = source.front_end.to_bytes(source.front_end(audio)[0]) / 255.0
    transport, envelope = SpectralOptimalTransportLoss(512, reduction="sum"), EnvelopeLoss(512, reduction="sum")
    scales = MultiScaleSpectralLoss(1024, 5, logmag_w=1.0, reduction="sum")
    cumulative = CumulativeSpectralLoss("time", 1024, 5, reduction="sum")
    return {
        "front end, L1": lambda own: (source.front_end(own)[0] - image).abs().mean(dim=(1, 2, 3)).sum(),
        "optimal transport + envelope": lambda own: 10 * transport(own, audio) + envelope(own, audio),
        "multi-scale magnitude + log": lambda own: scales(own, audio),
        "cumulative over time": lambda own: cumulative(own, audio),
    }


def recover(source: Source, distance: Distance, start: np.ndarray) -> dict[int, np.ndarray]:
    """Return the unit values (B, P) after each of the SHOWN numbers of steps."""
    space, synth, voice = source.synth.space, source.recipe.synth, source.synth.voice
    settings = {**voice.settings, **synth.settings}
    assert voice.differentiable is not None
    fixed = {name: torch.full((len(start),), value, dtype=torch.float64) for name, value in space.fixed.items()}
    unit = torch.from_numpy(start).float().requires_grad_()
    optimizer = torch.optim.Adam([unit], lr=LEARNING_RATE)
    found = {}
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        columns = zip(space.varying, unit.unbind(dim=1), strict=True)
        learned = {spec.name: to_physical(spec, column) for spec, column in columns}
        optimizer.zero_grad()
        distance(voice.differentiable(fixed | learned, synth.sample_rate, synth.num_samples, **settings)).backward()
        optimizer.step()
        with torch.no_grad():
            unit.clamp_(0, 1)
        if step + 1 in SHOWN:
            found[step + 1] = unit.detach().double().numpy().copy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    torch.set_num_threads(1)
    source = load_source(parse_recipe(recipe_of("moog_basic", 2 * SOUNDS)))
    space = source.synth.space
    truth, start = space.sample(0, 0, SOUNDS), space.normalize(space.sample(0, SOUNDS, SOUNDS))
    step = np.array([spec.step / (spec.max - spec.min) for spec in space.varying])
    columns = [Column("loss", text=True), *(Column(str(count)) for count in SHOWN), Column("median error")]
    rows = []
    for name, distance in distances(source, torch.from_numpy(source.sounds(truth))).items():
        found = recover(source, distance, start)
        errors = {count: np.abs(unit - space.normalize(truth)) for count, unit in found.items()}
        shares = [f"{100 * (error <= step).all(axis=1).mean():.0f} %" for error in errors.values()]
        medians = 100 * np.median(errors[STEPS], axis=0)
        rows.append([name, *shares, " / ".join(f"{value:.2g}" for value in medians)])
    table = markdown(columns, rows)
    print(table)
    update_block("recovery", table)


if __name__ == "__main__":
    main()
