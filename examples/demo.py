"""Make a dataset, train and test a model, and predict the parameters of a sound: `make demo`."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np

from src.cli.script import run_script
from src.data.info import read_spec
from src.data.origin import source_of
from src.spectral.audio_file import write_clip

UNSEEN_SEED = 20_000_000  # gives a sound that is in no split


def run(*arguments: str) -> None:
    """Print a command as the user would type it, and run it."""
    print(f"\n$ python {' '.join(arguments)}", flush=True)
    status = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def make_sound(dataset: Path, path: Path) -> None:
    """Render a sound that the network has not seen, and print its parameters."""
    spec = read_spec(dataset)
    values = spec.space.sample(UNSEEN_SEED, 0, 1).astype(np.float64)
    source = source_of(spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, source.synth.render(values)[:, 0], source.synth.config.sample_rate)
    print(f"\n{path.relative_to(ROOT)} is a new sound with these parameters:")
    for name, value in zip(spec.space.names, values[0], strict=True):
        print(f"  {name} = {value:.7g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=16384, help="clips in the dataset")
    parser.add_argument("--epochs", type=int, default=30, help="each takes about a second on two cores")
    arguments = parser.parse_args()
    began = time.perf_counter()
    dataset = ROOT / f"data/vimh-32x32x1_8000Hz_1p0s_{arguments.size}dss_moog_basic_4p"
    if dataset.exists():
        print(f"{dataset.relative_to(ROOT)} exists already; the demo uses it")
    else:
        run("generate_vimh.py", "synth=moog_basic", f"dataset.size={arguments.size}")
    size, epochs = f"dataset.size={arguments.size}", f"trainer.max_epochs={arguments.epochs}"
    run("src/train.py", "experiment=moog_basic_fast", "trainer=cpu", size, epochs)
    run("src/eval.py", "ckpt_path=best", "trainer=cpu", "report=true")
    sound = ROOT / "logs/demo/sound.wav"
    make_sound(dataset, sound)
    run("src/predict.py", "ckpt_path=best", f"input={sound.relative_to(ROOT)}", "refine=5")
    report = max((ROOT / "logs/eval/runs").glob("*/report.html"))  # directories are named by their time
    print(f"\nThe demo took {time.perf_counter() - began:.0f} s. Open its report in a browser, and listen:")
    print(report.relative_to(ROOT))


if __name__ == "__main__":
    run_script(main)
