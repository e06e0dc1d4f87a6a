"""What a network must beat: the mean, nearest neighbours and a closed form. None of them is trained by gradients."""

import argparse
from pathlib import Path

import numpy as np
import rootutils
import torch
from torch import Tensor

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.data.dataset import images_to_float
from src.data.spec import DatasetSpec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.intervals import interval, resampled_means, rounded, written_interval
from src.evaluation.predict import make_front_end
from src.utils.table import Column, show

NEIGHBOURS = (1, 3, 5, 9, 17)
WEIGHTING = "weighted by 1 / distance"
_CHUNK = 512  # queries at a time: 512 x 16,384 distances are 32 MB


def predict_mean(train_labels: Tensor, count: int) -> Tensor:
    """Return the mean of the training labels (n, P), `count` times: (count, P)."""
    return train_labels.mean(dim=0).expand(count, -1)


def nearest_neighbours(train_images: Tensor, train_labels: Tensor, query_images: Tensor, k: int) -> Tensor:
    """Return the mean label (m, P) of each query's `k` nearest training images, weighted by 1 / distance.

    Images (n, C, H, W) and (m, C, H, W) in [0, 1], labels (n, P) in [0, 1]; Euclidean distance.
    """
    train = train_images.flatten(1)
    means = []
    for queries in query_images.flatten(1).split(_CHUNK):
        index = torch.cdist(queries, train).topk(k, largest=False).indices
        distance = (train[index] - queries[:, None]).norm(dim=2)  # again: cdist is inexact for small distances
        weight = 1.0 / distance.clamp_min(1e-6)  # an equal image outweighs all others
        weight = weight / weight.sum(dim=1, keepdim=True)
        means.append((weight[:, :, None] * train_labels[index]).sum(dim=1))
    return torch.cat(means)


def choose_k(
    train_images: Tensor, train_labels: Tensor, val_images: Tensor, val_labels: Tensor
) -> tuple[int, dict[int, float]]:
    """Return the number of neighbours with the smallest error on the validation split, and the error of each number."""
    errors = {
        k: float((nearest_neighbours(train_images, train_labels, val_images, k) - val_labels).abs().mean())
        for k in NEIGHBOURS
    }
    return min(errors, key=errors.__getitem__), errors


def closed_form_decay(images: np.ndarray, spec: DatasetSpec) -> np.ndarray:
    """Return log10 of the decay time in s (n,) from the slope of the level over time; images (n, C, H, W) uint8.

    The level exp(-t / tau) of a sound falls by 8.69 / tau dB per second in every row. The slope is a
    least-squares fit over all pixels above the floor, with an offset for each row.
    """
    front_end = make_front_end(spec)
    floor_db, ceil_db = front_end.config.floor_db, front_end.config.ceil_db
    levels = images[:, 0].astype(np.float64)
    above = np.logical_and.accumulate(levels > 0, axis=2)  # the frames of a row before its first at the floor
    above[:, :, :2] = True  # the fastest decays are over by the second frame
    frame = np.arange(levels.shape[2])
    count = above.sum(axis=2, keepdims=True)
    off = np.where(above, frame - (above * frame).sum(axis=2, keepdims=True) / count, 0.0)
    slope = (off * levels).sum(axis=(1, 2)) / (off**2).sum(axis=(1, 2))  # byte levels per frame
    db_per_second = slope * (ceil_db - floor_db) / 255.0 * front_end.sample_rate / front_end.hop_length
    return np.log10(20.0 * np.log10(np.e) / np.maximum(-db_per_second, 1e-6))


def load_split(directory: Path, split: str) -> tuple[Tensor, Tensor]:
    """Return a split's images (n, C, H, W) in [0, 1] and labels (n, P) in [0, 1]."""
    dataset = VIMHDataset(directory, split)
    batch = dataset.__getitems__(range(len(dataset)))
    return images_to_float(batch["image"]), batch["target"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="a VIMH directory with train, val and test")
    directory = parser.parse_args().directory
    splits = {split: load_split(directory, split) for split in ("train", "val", "test")}
    images, labels = splits["test"]
    k, errors = choose_k(*splits["train"], *splits["val"])
    print("k on val:", ", ".join(f"{count}: {error:.4f}" for count, error in errors.items()))
    predictions = {
        "mean baseline": predict_mean(splits["train"][1], len(labels)),
        f"{k} nearest neighbours, {WEIGHTING}": nearest_neighbours(*splits["train"], images, k),
    }
    test = VIMHDataset(directory, "test")
    space = test.spec.space
    columns = [Column("baseline", text=True), Column("nmae"), Column("95 % interval"), *map(Column, space.names)]
    rows = []
    for name, prediction in predictions.items():
        absolute = (prediction - labels).abs().numpy()
        sounds = absolute.mean(axis=1)
        bounds = interval(resampled_means(sounds[:, None])[:, 0], len(sounds))
        nmae = float(sounds.mean())
        heads = [f"{error:.2g}" for error in absolute.mean(axis=0)]
        rows.append([name, rounded(nmae, bounds), written_interval(nmae, bounds), *heads])
    caption = "Errors are fractions of each parameter's range."
    show(columns, rows, f"{directory.name}: test split, {len(labels)} sounds", caption)
    if "log10_decay_time" in space.names:
        column = space.index("log10_decay_time")
        truth = space.denormalize(labels.numpy())
        guess = truth.copy()
        guess[:, column] = closed_form_decay(test.__getitems__(range(len(test)))["image"].numpy(), test.spec)
        accuracy = (space.to_class(guess) == space.to_class(truth))[:, column].mean()
        error = np.abs(space.normalize(guess) - labels.numpy())[:, column].mean()
        print(f"closed form: log10_decay_time {error:.4f}, {100 * accuracy:.1f} % in the right class")


if __name__ == "__main__":
    main()
