"""The features that a network computes from sounds: vectors by which sounds can be compared, whatever the task."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from src.data.dataset import load_batch
from src.data.info import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.each_file import for_each_file
from src.evaluation.evaluate import require_same_targets
from src.evaluation.predict import clip_image, make_front_end
from src.models.feature_distribution import of_image
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.audio_file import read_clip
from src.utils.files import write_atomic
from src.utils.table import csv_text

_BATCH = 512


def features_of_dataset(model: VIMHLitModule, directory: Path) -> dict[str, np.ndarray]:
    """Return the features (D,) of each test sound of a VIMH directory by name."""
    spec = read_spec(directory)
    require_same_targets(model.spec, spec, labels=False)
    dataset = VIMHDataset(directory, "test", spec=spec)
    found: dict[str, np.ndarray] = {}
    for rows in dataset.batches_by_shape(_BATCH):
        batch = load_batch(dataset, rows, next(model.parameters()))
        with torch.inference_mode():
            features = of_image(model.features(batch["image"], batch.get("scale"))).cpu().numpy()
        found |= {f"test {row}": vector for row, vector in zip(rows, features, strict=True)}
    return found


def features_of_files(
    model: VIMHLitModule, paths: list[Path], channel: str | None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the features (D,) of each sound file by name, and a one-line error for each file that failed."""
    front_end = make_front_end(model.spec)

    def features_of(path: Path, _: str) -> Iterator[np.ndarray]:
        clip = read_clip(path, front_end.sample_rate, front_end.num_samples, channel)
        with torch.inference_mode():
            yield of_image(model.features(*clip_image(front_end, clip)))[0].numpy()

    found, faults = for_each_file(paths, features_of)
    return {name: features[-1] for name, features in found.items()}, faults


def write_features(features: dict[str, np.ndarray], output_dir: Path) -> Path:
    """Write features.csv, one row per sound; return its path."""
    text, size = io.StringIO(newline=""), len(next(iter(features.values())))
    writer = csv.writer(text)
    writer.writerow(["name", *(f"feature_{at}" for at in range(size))])
    for name, vector in features.items():
        writer.writerow([csv_text(name), *(f"{number:.6g}" for number in vector)])
    write_atomic(output_dir / "features.csv", text.getvalue().encode())
    return output_dir / "features.csv"
