"""What can be wrong with a dataset: a row of checks, from all labels and from an evenly spread part of the images."""

from collections.abc import Mapping, Sequence

import numpy as np

from src.data.dataset import BatchDataset
from src.data.folder_checks import NEAR
from src.data.overlap import count_shared, hash_rows
from src.data.sensitivity import is_lost
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.evaluation.reports.check import Check, State
from src.evaluation.reports.dataset.labels import Histogram, histogram
from src.evaluation.reports.dataset.samples import Splits, image_blocks, spread
from src.parameters.space import ParameterSpace
from src.utils.spaced import evenly_spaced

_MOST_PIXELS = 2**24  # of the images that are looked at: 16,384 of 32 x 32
_MOST_IMAGES = 2**16
_MOST_PAIRS = 2048  # of equal labels, whose images are compared
_MANY_NEAR = 0.01  # share of all samples, above which near copies are more than chance in a dense dataset
_UNEVEN = 10  # times as many samples, a convention: rare levels then deserve a look
_EXPECTED = 12  # samples that a part of a range has on average, below which an empty one may be chance
_DEVIATIONS = 4  # standard deviations of a random count, beyond which few samples are no chance
_BRIGHT, _TOO_BRIGHT = 0.001, 0.05  # share of pixels at 255
_DARK = 0.9  # share of pixels at 0
_LEVEL = 1.0  # of 255, by which a rendered image may differ on average, since labels are rounded to float32


def check_labels_and_images(splits: Splits, units: Mapping[str, np.ndarray]) -> list[Check]:
    """Return all checks of a dataset's splits that need no sound; `units` are all labels of each split, in [0, 1]."""
    spec = next(iter(splits.values())).spec
    quantised = any(dataset.quantised for dataset in splits.values())
    unit = np.concatenate(list(units.values()))
    histograms = [histogram(parameter, unit[:, at], quantised) for at, parameter in enumerate(spec.space)]
    return [
        check_leakage(splits, units),
        check_duplicates(splits, units),
        check_near_copies(splits, units),
        check_constant(spec.space, unit),
        check_coverage(spec.space, histograms),
        check_balance(spec.space, histograms),
        check_effects(spec),
        *check_images(splits),
    ]


def check_effects(spec: DatasetSpec | None) -> Check:
    """Check whether each parameter changes the image, or what is stored with it."""
    name = "Parameters with effect"
    if spec is None or not spec.origin.sensitivity:
        return Check(name, "unknown", "The dataset does not state how strongly its parameters change the images.")
    lost = [row.name for row in spec.origin.sensitivity if is_lost(row)]
    hidden = [row.name for row in spec.origin.sensitivity if row.blind and not is_lost(row)]
    if lost:
        return Check(name, "fail", f"No measurable effect on the image: {', '.join(lost)}.")
    if hidden:
        return Check(name, "warn", f"An effect on the level of the image alone: {', '.join(hidden)}.")
    return Check(name, "pass", "Each parameter changes the image measurably.")


def check_leakage(splits: Splits, units: Mapping[str, np.ndarray]) -> Check:
    """Check whether samples of `val` and `test` are also training samples; `units` are all labels of each split."""
    name, shared, compared, where = "No leakage", 0, 0, []
    others = [split for split in splits if split != "train"]
    if "train" not in splits or not others:
        return Check(name, "unknown", "There is only one split.")
    for split in others:
        found, looked_at = count_shared(splits["train"], splits[split], units["train"])
        shared, compared = shared + found, compared + looked_at
        if found:
            where.append(f"{found:,} of {looked_at:,} {split} samples")
    if shared:
        state: State = "fail" if 100 * shared >= compared else "warn"
        return Check(name, state, f"{' and '.join(where)} are also in the training split: their errors measure memory.")
    return Check(name, "pass", f"None of {compared:,} {' and '.join(others)} samples is also in the training split.")


def check_duplicates(splits: Splits, units: Mapping[str, np.ndarray]) -> Check:
    """Check whether samples of one split are the same: equal labels and equal images."""
    name, same_labels, same, compared, total = "No duplicates", 0, 0, 0, 0
    for split, dataset in splits.items():
        pairs = _equal_labels(units[split])
        looked_at = pairs[evenly_spaced(len(pairs), _MOST_PAIRS)]
        same += sum(_same_image(dataset, one, other) for one, other in looked_at)
        same_labels, compared, total = same_labels + len(pairs), compared + len(looked_at), total + len(dataset)
    if not same_labels:
        return Check(name, "pass", f"No two of {total:,} samples of a split have the same labels.")
    labels = f"{same_labels:,} of {total:,} samples have the labels of another sample of their split"
    if not same:
        return Check(name, "pass", f"{labels}; of {compared:,} compared none has the same image.")
    state: State = "fail" if same_labels * same > 0.1 * total * compared else "warn"
    return Check(name, state, f"{labels}; of {compared:,} compared {same:,} have also the same image.")


def _equal_labels(unit: np.ndarray) -> np.ndarray:
    """Return pairs (m, 2) of rows with equal labels: each such row but the first with the one before it."""
    keys = hash_rows(unit)
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():  # sorting values takes a tenth of sorting places
        return np.empty((0, 2), np.int64)
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    return np.stack([order[again], order[again + 1]], axis=1)


def check_near_copies(splits: Splits, units: Mapping[str, np.ndarray]) -> Check:
    """Check whether samples have almost the labels and almost the image of another sample, also of another split.

    Compared are samples whose labels are the same in bytes, so that they differ by 1/255 of a range at most.
    """
    name, datasets = "No near copies", list(splits.values())
    first = np.cumsum([0, *map(len, datasets)])
    pairs = _equal_labels(np.round(np.concatenate(list(units.values())) * 255.0).astype(np.float32))
    if not len(pairs):
        return Check(name, "pass", f"No two of {first[-1]:,} samples have almost the same labels.")
    looked_at = pairs[evenly_spaced(len(pairs), _MOST_PAIRS)]
    near = apart = 0
    for pair in looked_at:
        parts = np.searchsorted(first, pair, side="right") - 1
        images = [
            datasets[part].__getitems__([row - first[part]])["image"].numpy()
            for part, row in zip(parts, pair, strict=True)
        ]
        if _is_near(*images):
            near, apart = near + 1, apart + int(parts[0] != parts[1])
    labels = f"{len(pairs):,} of {first[-1]:,} samples have almost the labels of another sample"
    if not near:
        return Check(name, "pass", f"{labels}; of {len(looked_at):,} compared none has almost the same image.")
    state: State = "warn" if near * len(pairs) > _MANY_NEAR * len(looked_at) * first[-1] else "pass"
    where = f"{labels}; of {len(looked_at):,} compared {near:,} have also almost the same image"
    return Check(name, state, f"{where}, {apart:,} of them that of a sample of another split.")


def _is_near(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two images differ, by less than 3 % of the norm of the larger one."""
    if one.shape != other.shape:
        return False
    first, second = one.astype(np.float32), other.astype(np.float32)
    apart = float(np.linalg.norm(first - second))
    return 0.0 < apart < NEAR * max(float(np.linalg.norm(first)), float(np.linalg.norm(second)), 1.0)


def check_constant(space: ParameterSpace, unit: np.ndarray) -> Check:
    """Check whether each parameter has more than one value in labels (n, P)."""
    name = "Labels vary"
    constant = [spec.name for at, spec in enumerate(space) if unit[:, at].min() == unit[:, at].max()]
    if constant:
        return Check(name, "fail", f"The same value in all samples: {', '.join(constant)}.")
    return Check(name, "pass", "Each parameter has more than one value.")


def check_balance(space: ParameterSpace, histograms: Sequence[Histogram]) -> Check:
    """Check whether some levels of a parameter have many more samples than others."""
    name, uneven = "Even levels", []
    for spec, found in zip(space, histograms, strict=True):
        present = found.counts[found.counts > 0]
        if present.max() > _UNEVEN * present.min() and present.max() >= _EXPECTED:
            uneven.append(f"{spec.name} {present.max():,} to {present.min():,}")
    if uneven:
        return Check(name, "warn", f"The most and the least frequent level: {', '.join(uneven)} samples.")
    return Check(name, "pass", f"No level of a parameter has more than {_UNEVEN} times the samples of another.")


def _same_image(dataset: BatchDataset, one: int, other: int) -> bool:
    first, second = (dataset.__getitems__([row])["image"].numpy() for row in (one, other))
    return np.array_equal(first, second)


def check_coverage(space: ParameterSpace, histograms: Sequence[Histogram]) -> Check:
    """Check whether there are samples in all parts of each range, and of each class."""
    name, empty, rare = "Coverage of the ranges", [], []
    total = int(histograms[0].counts.sum())
    if total < _EXPECTED * max(len(each.counts) for each in histograms):
        return Check(name, "unknown", f"{total:,} samples are too few to tell.")
    for spec, found in zip(space, histograms, strict=True):
        parts, missing, least = len(found.counts), int((found.counts == 0).sum()), int(found.counts.min())
        even = total / parts
        if missing:
            empty.append((missing / parts, f"{spec.name} {missing} of {parts}"))
        elif least < even / 2 and least < even - _DEVIATIONS * np.sqrt(even):
            rare.append(f"{spec.name} {least:,} instead of about {even:,.0f}")
    if empty:
        state: State = "fail" if max(empty)[0] > 0.5 else "warn"
        return Check(name, state, f"Parts of a range without a sample: {', '.join(text for _, text in empty)}.")
    if rare:
        return Check(name, "warn", f"Samples in the rarest part of a range: {', '.join(rare)}.")
    return Check(name, "pass", "Each part of each range has samples, about as many as the others.")


def check_images(splits: Splits) -> list[Check]:
    """Check an evenly spread part of the images for pixels at the ends of the levels, and for silence."""
    spec = next(iter(splits.values())).spec
    most = max(1, min(_MOST_IMAGES, _MOST_PIXELS // int(np.prod(spec.image_shape))))
    count = pixels = bright = bright_images = dark = silent = 0
    for images, _ in image_blocks(splits, spread(splits, most)):
        first = images[:, 0].reshape(len(images), -1)
        at_255 = (first == 255).sum(axis=1)
        count, pixels = count + len(first), pixels + first.size
        bright, bright_images = bright + int(at_255.sum()), bright_images + int((at_255 > 0).sum())
        dark += int((first == 0).sum())
        silent += int((first.max(axis=1) == first.min(axis=1)).sum())
    looked_at = f"of {count:,} images" if count < sum(map(len, splits.values())) else f"of all {count:,} images"
    return [_clipping(spec, bright, bright_images, dark, pixels, looked_at), _silence(silent, count, looked_at)]


def _clipping(spec: DatasetSpec, bright: int, bright_images: int, dark: int, pixels: int, looked_at: str) -> Check:
    name = "No clipping"
    spectral = spec.origin.spectral
    if spectral is None or spec.inputs.kind != "spectral":
        return Check(name, "unknown", "The level of the images is not known.")
    if spectral.image_scaling == "per_sample":
        return Check(name, "unknown", "Each image has its own dB range, so that its loudest pixel is always at 255.")
    shares = f"{100 * bright / pixels:.2g} % of the pixels {looked_at} are at {spectral.ceil_db:g} dB or above "
    shares += f"({bright_images:,} images), {100 * dark / pixels:.2g} % at {spectral.floor_db:g} dB or below."
    if bright > _BRIGHT * pixels:
        return Check(name, "fail" if bright > _TOO_BRIGHT * pixels else "warn", shares)
    return Check(name, "warn" if dark > _DARK * pixels else "pass", shares)


def _silence(silent: int, count: int, looked_at: str) -> Check:
    name = "No silence"
    if silent:
        state: State = "fail" if 100 * silent >= count else "warn"
        return Check(name, state, f"{silent:,} {looked_at} have the same level in all pixels.")
    return Check(name, "pass", f"None {looked_at} has the same level in all pixels.")


def check_sounds(source: Source, values: np.ndarray, images: np.ndarray, quantised: bool) -> Check:
    """Check whether sounds that are rendered from labels (k, P) have the stored images (k, C, H, W) uint8."""
    name = "Labels make the images"
    apart = np.abs(source.images(values)[0].astype(np.int16) - images).mean(axis=(1, 2, 3))
    why = f"{len(values)} sounds, rendered from their labels, differ from the stored images by {apart.mean():.2g} of "
    why += f"255 levels on average, by {apart.max():.2g} at most."
    if apart.max() <= _LEVEL:
        return Check(name, "pass", why)
    return Check(name, "warn", f"{why} The labels are rounded to bytes." if quantised else why)
