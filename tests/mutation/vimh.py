"""VIMH directories of every kind, one file of which is damaged, opened and read to the end."""

import json
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.data.info import INFO_FILE, read_spec
from src.data.spec import DatasetSpec
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from tests.data.references import edit_info, record, write_ancestor
from tests.mutation.mutators import damage, damage_tree, with_canary
from tests.mutation.oracle import Silent

COUNT = 20  # records of train
_KINDS = (
    *(("ours", "records"), ("2.1", "records"), ("2.0", "records"), ("shapes", "records"), ("ours", "npy")),
    *(("ours", "json"), ("2.0", "json"), ("ours", "twin"), ("2.1", "twin"), ("2.1", "canary"), ("ours", "npy canary")),
)
_FILES = {
    **{"records": "train", "json": INFO_FILE, "npy": "train_params.npy", "npy canary": "train_params.npy"},
    **{"twin": "train_batch", "canary": "train_batch"},
}
_STEP = 1.502 / 255  # how far a target may be from the true one: a code is 0.5 from the true one, 1.001 from the other


@dataclass(frozen=True)
class Original:
    """A dataset that nothing was done to, and what it holds."""

    directory: Path
    images: list[np.ndarray]
    targets: np.ndarray  # (n, P)
    is_ours: bool  # with exact values and checksums


def make_originals(root: Path, ours: Path) -> dict[str, Original]:
    """Return ours, ancestors' of versions 2.1 and 2.0, and one whose records differ in shape.

    `ours` is a dataset that src.data.generate made, with pickle twins.
    """
    root.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ours, root / "ours", ignore=shutil.ignore_patterns("val*", "test*"))
    counts = {"train": COUNT}
    write_ancestor(root / "2.1", counts)
    write_ancestor(root / "2.0", counts, scale=None, label_encoding={})
    write_ancestor(root / "shapes", counts)
    rows = [record(np.full((1, 2 + at % 3, 4), at), [(0, at), (1, at)]) for at in range(COUNT)]
    (root / "shapes/train").write_bytes(b"".join(rows))
    edit_info(root / "shapes", train_samples=COUNT)
    images, codes, scale = VIMHDataset(root / "2.1", "train").records.gather(np.arange(COUNT))
    twin = {"data": images.reshape(COUNT, -1), "vimh_labels": [[2, 0, int(a), 1, int(b)] for a, b in codes]}
    twin |= {"scale_factors": scale, "height": images.shape[2], "width": images.shape[3], "channels": images.shape[1]}
    (root / "2.1/train_batch").write_bytes(pickle.dumps(twin, 4))
    found = {}
    for directory in sorted(root.iterdir()):
        dataset = VIMHDataset(directory, "train")
        images = [dataset[at]["image"].numpy() for at in range(len(dataset))]
        found[directory.name] = Original(directory, images, dataset.targets(), directory.name == "ours")
    return found


def _read(directory: Path, verify: bool = False) -> tuple[VIMHDataset, list[np.ndarray], np.ndarray]:
    """Open train and gather all of it; what comes must be sound."""
    spec = read_spec(directory)
    if DatasetSpec.from_dict(json.loads(json.dumps(spec.to_dict()))).space != spec.space:
        raise Silent("the spec does not survive a checkpoint")
    dataset = VIMHDataset(directory, "train", verify=verify, spec=spec)
    images: list[np.ndarray] = [np.empty(0)] * len(dataset)
    targets = dataset.targets()
    for rows in dataset.batches_by_shape(64, 0):
        batch = dataset.__getitems__(rows)
        if not np.isfinite(batch["scale"].numpy()).all() or not np.array_equal(batch["target"], targets[rows]):
            raise Silent("scale or target of a batch")
        for row, image in zip(rows, batch["image"].numpy(), strict=True):
            images[row] = image
    if targets.shape != (len(dataset), len(spec.space)) or not ((targets >= 0) & (targets <= 1)).all():
        raise Silent(f"targets {targets.shape} from {targets.min()} to {targets.max()}")
    return dataset, images, targets


def make_case(
    originals: dict[str, Original], directory: Path, seed: int
) -> tuple[str, Callable[[], None], Path | None]:
    """Return a kind's name, what reads one damaged dataset of it, and the canary that its code would create."""
    draw = random.Random(seed)
    name, part = draw.choice(_KINDS)
    original, target = originals[name], directory / name
    canary = directory / "canary"

    def read() -> None:
        if not target.exists():
            shutil.copytree(original.directory, target)
        path = target / _FILES[part]
        whole = path.read_bytes()
        path.write_bytes(_damaged(whole, part, draw, str(canary)))
        if path.name == "train_batch":
            (target / "train").rename(target / "away")  # a twin is read where there are no records
        try:
            _check(original, target, part, path.read_bytes() != whole)
        finally:
            path.write_bytes(whole)
            if path.name == "train_batch":
                (target / "away").rename(target / "train")

    return f"{name}: {part}", read, canary


def _damaged(whole: bytes, part: str, draw: random.Random, canary: str) -> bytes:
    if part == "json" and draw.random() < 0.75:
        return json.dumps(damage_tree(json.loads(whole), draw)).encode()
    if part == "twin" and draw.random() < 0.5:
        return pickle.dumps(damage_tree(pickle.loads(whole), draw), draw.randrange(6))
    if part == "canary":
        content = with_canary(pickle.loads(whole), draw, canary)
        return damage(content, draw, whole) if draw.random() < 0.3 else content
    if part == "npy canary":
        content = whole[:64] + with_canary({"a": 1}, draw, canary)
        header = content.replace(b"<f4", b"|O ", 1) if draw.random() < 0.7 else content
        return damage(header, draw, whole) if draw.random() < 0.3 else header
    return damage(whole, draw, whole[::-1])


def _check(original: Original, directory: Path, part: str, is_changed: bool) -> None:
    """Read a dataset; Silent when damage that structure, exact values or checksums tell was not noticed."""
    dataset, images, targets = _read(directory)
    if len(images) != len(original.images):
        raise Silent(f"{len(images)} records")
    if targets.shape != original.targets.shape:
        raise Silent(f"targets {targets.shape}")
    vouched = original.is_ours and dataset.values is not None
    if (vouched or part == "json") and np.abs(targets - original.targets).max() > _STEP:
        raise Silent(f"targets {np.abs(targets - original.targets).max():.3g} off")
    if part in ("json", "npy") and not all(map(np.array_equal, images, original.images)):
        raise Silent("images")
    if original.is_ours and is_changed and part != "json":
        try:
            _read(directory, verify=True)
        except UserError:
            return
        raise Silent("verify=True did not notice")
