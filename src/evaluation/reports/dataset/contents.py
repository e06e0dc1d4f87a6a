"""What the scripts of a dataset's page read: the shown samples, distributions, and complete samples with sounds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.data.source import Source
from src.evaluation.reports.dataset.labels import Histogram
from src.evaluation.reports.dataset.samples import Rows, Splits, image_blocks, shape_axes, thumbnails
from src.evaluation.reports.page import data_url, packed
from src.evaluation.reports.parameter_data import parameter_data
from src.evaluation.reports.pictures import png
from src.evaluation.reports.sounds import encoded_sounds
from src.parameters.space import ParameterSpace


def shown_samples(splits: Splits, shown: Rows, values: np.ndarray) -> dict[str, Any]:
    """Return the names, the values (n, P), the thumbnails and the axes of samples as data of a page."""
    spec = next(iter(splits.values())).spec
    axes, shapes, ranges = shape_axes(splits, shown)
    return {
        "count": len(values),
        "total": sum(map(len, splits.values())),
        "samples": "samples",
        "sample": "sample",
        "ids": [f"{split}-{row}" for split, rows in shown.items() for row in rows],
        "values": packed(values.T.astype(np.float32)),
        "thumbnails": thumbnails(splits, shown),
        "axes": axes,
        "shapes": packed(shapes),
        "ranges": packed(ranges.T.astype(np.float32)),
        "channels": channel_names(splits),
        "grey": spec.inputs.kind == "image",
    }


def channel_names(splits: Splits) -> list[str]:
    """Return the names of the images' channels, or their numbers where they are not known."""
    spec = next(iter(splits.values())).spec
    spectral = spec.origin.spectral
    return list(spectral.channels) if spectral else [f"channel {at}" for at in range(spec.image_shape[0])]


def distributions(space: ParameterSpace, histograms: Sequence[Histogram], places: np.ndarray) -> dict[str, Any]:
    """Return the parameters with their histograms, and the bar of the sample at each place, as data of a page."""
    parameters = []
    for spec, found in zip(space, histograms, strict=True):
        edges = None if found.edges is None else found.edges.tolist()
        parameters.append(
            parameter_data(spec) | {"bars": {"counts": found.counts.tolist(), "names": found.names, "edges": edges}}
        )
    return {"parameters": parameters, "bars": packed(np.stack([found.bars[places] for found in histograms]))}


def shown_places(splits: Splits, shown: Rows) -> np.ndarray:
    """Return where the shown samples are among all samples of all splits, one split after the other."""
    first = np.cumsum([0, *map(len, splits.values())])
    return np.concatenate([rows + start for rows, start in zip(shown.values(), first, strict=False)])


def complete_samples(
    splits: Splits, shown: Rows, complete: Sequence[int], source: Source | None, values: np.ndarray, most: int
) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Return some of the shown samples with all channels and with sounds as data of a page, and their images.

    `complete` are their k places among the shown ones, `values` (n, P) those of all shown ones, images (C, H, W)
    uint8. All sounds together have at most `most` samples.
    """
    upright = -1 if next(iter(splits.values())).spec.inputs.kind == "spectral" else 1
    images = [image for block, _ in image_blocks(splits, _chosen(shown, complete)) for image in block]
    names = channel_names(splits)
    examples: list[dict[str, Any]] = []
    for row, image in zip(complete, images, strict=True):
        files = [data_url("image/png", png(channel[::upright])) for channel in image]
        examples.append({"row": row, "images": dict(zip(names, files, strict=True))})
    if source is not None:
        for example, clip in zip(examples, source.sounds(values[list(complete)]), strict=True):
            example |= encoded_sounds({"true": clip}, source.front_end.sample_rate, most // len(complete))
    return examples, images


def _chosen(rows: Rows, places: Sequence[int]) -> Rows:
    """Return the rows at some places of all rows together."""
    chosen = np.zeros(sum(map(len, rows.values())), bool)
    chosen[list(places)] = True
    parts = np.split(chosen, np.cumsum([len(each) for each in rows.values()])[:-1])
    return {split: each[part] for (split, each), part in zip(rows.items(), parts, strict=True)}
