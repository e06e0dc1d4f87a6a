"""Does a loss on waveforms grow when a wrong pitch gets worse? The experiment of Turian & Henry (arXiv 2012.04572).

Target and prediction are drawn independently: f = 10^U(log10 30, log10 4000) Hz, amplitude 10^U(-2.5, 0),
phase U(0, 2 pi), 1 s at 16 kHz, naive (aliasing) oscillators. The prediction's f is then moved further away
from the target's, by 300 or 600 cents; its amplitude and phase stay. The result is the share of trials in which
the loss grew. A trial in which it stayed the same counts as half, so that a constant loss gets 0.5. All losses get the
same sounds.

Published: DiffMoog (arXiv 2401.12570), table 1. It is from 1,000 trials too, so that a share may differ from ours by
0.03 to 0.04 by chance. Spectra are unscaled, with Hann windows and centred frames with mirrored ends. The published
cumulative loss is compared with ours with each scale's power divided by n_fft squared. The paper does not say how it
weights the scales; we found this weighting by trial, and the sine gets better results without it.

Run: python benchmarks/loss_direction.py [trials] [--keep]
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from readme import update_block

from src.models.losses.base import Loss
from src.models.losses.sound.cumulative import CumulativeSpectralLoss, SpectralOptimalTransportLoss
from src.models.losses.sound.envelope import EnvelopeLoss
from src.models.losses.sound.f0_centroid import F0CentroidLoss
from src.models.losses.sound.mel import MelSpectralLoss
from src.models.losses.sound.multi_scale import MultiScaleSpectralLoss
from src.models.losses.sound.pre_emphasis import PreEmphasisLoss
from src.models.losses.sound.stft import LogSTFTLoss, MultiResolutionSTFTLoss, SpectralConvergenceLoss
from src.models.losses.sound.time_domain import DCLoss, ESRLoss, SISDRLoss
from src.models.losses.values.distance import DistanceLoss, HuberLoss, LogCoshLoss

SAMPLE_RATE = 16000
CENTS = (300, 600)
BATCH = 50
WAVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # functions of the phase in turns
    "sine": lambda turns: np.sin(2 * np.pi * turns),
    "square": lambda turns: np.sign(np.sin(2 * np.pi * turns)),
    "saw": lambda turns: 2 * (turns % 1) - 1,
}
LOSSES: dict[str, Callable[[], Loss]] = {
    "multi-scale power": lambda: MultiScaleSpectralLoss(power=2),
    "multi-scale magnitude": lambda: MultiScaleSpectralLoss(),
    "multi-scale log magnitude": lambda: MultiScaleSpectralLoss(mag_w=0, logmag_w=1),
    "multi-scale magnitude + log": lambda: MultiScaleSpectralLoss(logmag_w=1),
    "cumulative over time": lambda: CumulativeSpectralLoss("time"),
    "cumulative, normalised": lambda: CumulativeSpectralLoss("time", normalized=True),
    "cumulative over frequency": lambda: CumulativeSpectralLoss("frequency"),
    "spectral optimal transport": lambda: SpectralOptimalTransportLoss(),
    "centroid, octaves": lambda: F0CentroidLoss(SAMPLE_RATE),
    "centroid, Hz": lambda: F0CentroidLoss(SAMPLE_RATE, scale="hz"),
    "log mel": lambda: MelSpectralLoss(SAMPLE_RATE),
    "spectral convergence": lambda: SpectralConvergenceLoss(),
    "log STFT": lambda: LogSTFTLoss(),
    "multi-resolution STFT": lambda: MultiResolutionSTFTLoss(),
    "envelope": lambda: EnvelopeLoss(),
    "L1 of samples": lambda: DistanceLoss(),
    "log-cosh of samples": lambda: LogCoshLoss(),
    "Huber of samples": lambda: HuberLoss(),
    "ESR": lambda: ESRLoss(),
    "ESR after pre-emphasis": lambda: PreEmphasisLoss(ESRLoss()),
    "DC": lambda: DCLoss(),
    "SI-SDR": lambda: SISDRLoss(),
}
PUBLISHED = {  # sine, square, saw; 300 and 600 cents each
    "multi-scale power": (0.855, 0.870, 0.676, 0.700, 0.642, 0.701),
    "cumulative, normalised": (0.848, 0.863, 0.733, 0.748, 0.712, 0.715),
}


@torch.no_grad()
def measure_loss_direction(trials: int = 1000) -> list[dict]:
    """Return one row per loss, wave and pitch distance: the share right, its 95 % interval and the published share."""
    losses = {name: make() for name, make in LOSSES.items()}
    right = {(name, wave, cents): 0.0 for name in losses for wave in WAVES for cents in CENTS}
    for wave in WAVES:
        for target, prediction, moved in _sounds(wave, trials):
            for name, loss in losses.items():
                prepared = loss.prepare(target)
                before = loss.values(prediction, prepared)
                for cents in CENTS:
                    right[name, wave, cents] += grown(before, loss.values(moved[cents], prepared))
    rows = []
    for at, (name, wave, cents) in enumerate(right):
        low, high = wilson(right[name, wave, cents], trials)
        published = PUBLISHED[name][at % (len(WAVES) * len(CENTS))] if name in PUBLISHED else None
        share = right[name, wave, cents] / trials
        rows.append({"loss": name, "wave": wave, "cents": cents, "right": share, "low": low, "high": high})
        rows[-1] |= {"trials": trials, "published": published}
    return rows


def grown(before: Tensor, after: Tensor) -> float:
    """Return how many of the losses grew; those that stayed the same count as half."""
    return float((after > before).sum() + 0.5 * (after == before).sum())


def wilson(right: float, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of the share right / trials (Wilson 1927)."""
    z, share = 1.959964, right / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return centre - half, centre + half


def _sounds(wave: str, trials: int) -> Iterator[tuple[Tensor, Tensor, dict[int, Tensor]]]:
    """Yield targets, predictions and moved predictions (at most BATCH, 16000), the same for any BATCH."""
    rng = np.random.Generator(np.random.Philox(list(WAVES).index(wave)))
    draws = rng.random((trials, 2, 3))  # target and prediction: frequency, amplitude, phase
    frequency = 10 ** (np.log10(30) + draws[..., 0] * (np.log10(4000) - np.log10(30)))
    amplitude, phase = 10 ** (-2.5 + 2.5 * draws[..., 1]), draws[..., 2]
    side = np.sign(frequency[:, 1] - frequency[:, 0])

    def render(which: int, factor: np.ndarray, rows: slice) -> Tensor:
        time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
        turns = (frequency[:, which] * factor)[rows, None] * time + phase[rows, which, None]
        return torch.from_numpy((amplitude[rows, which, None] * WAVES[wave](turns)).astype(np.float32))

    still = np.ones(trials)
    for start in range(0, trials, BATCH):
        rows = slice(start, start + BATCH)
        moved = {cents: render(1, 2 ** (side * cents / 1200), rows) for cents in CENTS}
        yield render(0, still, rows), render(1, still, rows), moved


def markdown(rows: list[dict]) -> str:
    """Return the table, best loss first: the share right, with the published share in brackets."""
    width = len(WAVES) * len(CENTS)
    groups = [rows[at : at + width] for at in range(0, len(rows), width)]
    heads = [f"{row['wave']} {row['cents']}" for row in groups[0]]
    lines = [f"| loss | {' | '.join(heads)} | mean |", f"|{'---|' * (width + 2)}"]
    for group in sorted(groups, key=lambda group: -sum(row["right"] for row in group)):
        cells = [f"{row['right']:.3f}" + (f" [{row['published']:.3f}]" if row["published"] else "") for row in group]
        mean = sum(row["right"] for row in group) / width
        lines.append(f"| {group[0]['loss']} | {' | '.join(cells)} | {mean:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="?", type=int, default=1000)
    parser.add_argument("--keep", action="store_true", help="write the rows to results.json, the table to the docs")
    arguments = parser.parse_args()
    trials = arguments.trials
    rows = measure_loss_direction(trials)
    if arguments.keep:
        store = ROOT / "benchmarks/results.json"
        store.write_text(json.dumps(json.loads(store.read_text()) | {"loss_direction": rows}, indent=1) + "\n")
        update_block("directions", markdown(rows))
    print(f"share of {trials} trials in which the loss grew, 95 % interval, [published]")
    width = len(WAVES) * len(CENTS)
    groups = [rows[at : at + width] for at in range(0, len(rows), width)]
    print(" " * 28 + "".join(f"{row['wave'] + ' ' + str(row['cents']):>25}" for row in groups[0]) + "    mean")
    for group in sorted(groups, key=lambda group: -sum(row["right"] for row in group)):
        cells = ""
        for row in group:
            published = f" [{row['published']:.3f}]" if row["published"] else ""
            cells += f"{row['right']:.3f} ({row['low']:.3f}-{row['high']:.3f}){published}".rjust(25)
        print(f"{group[0]['loss']:28}{cells}{sum(row['right'] for row in group) / width:8.3f}")


if __name__ == "__main__":
    main()
