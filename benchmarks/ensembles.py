"""Are an ensemble's intervals narrower than those of its best member? python benchmarks/ensembles.py: 3 minutes."""

import argparse

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import torch
from calibration import trained

from src.cli.instantiate import quiet_lightning
from src.evaluation.ensemble_intervals import INTERVAL_NOTE, compare_widths, width_table
from src.evaluation.predict import estimate_dataset
from src.evaluation.split_outputs import predict_split
from src.models.ensemble import Ensemble
from src.utils.table import show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20480)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    quiet_lightning()
    torch.set_num_threads(1)
    for synth in ("moog_basic", "simple_saw"):
        for heads in ("regression", "gaussian"):
            runs = [trained(heads, synth, arguments.size, arguments.epochs, seed) for seed in range(arguments.seeds)]
            models, test = [model for model, _ in runs], runs[0][1].dataset("test")
            space = models[0].spec.space
            members = [estimate_dataset(model, test) for model in models]
            together, _ = predict_split(Ensemble(models), test)
            rows = compare_widths(space, space.denormalize(test.targets()), together, members)
            show(*width_table(rows), title=f"{synth}, {heads} heads", caption=INTERVAL_NOTE)


if __name__ == "__main__":
    main()
