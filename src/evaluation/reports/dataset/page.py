"""Write a dataset as one page: checks, samples with sounds, distributions and correlations of its parameters."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from src.data.origin import source_of
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.evaluation.reports.dataset import checks, tables
from src.evaluation.reports.dataset.body import correlation_section, histogram_section, sample_section
from src.evaluation.reports.dataset.contents import (
    complete_samples,
    distributions,
    shown_places,
    shown_samples,
)
from src.evaluation.reports.dataset.labels import correlations, histogram
from src.evaluation.reports.dataset.samples import Splits, spread
from src.evaluation.reports.page import make_page, section, table, text
from src.evaluation.reports.parts import body, checks_section, finder_section, sentences
from src.evaluation.reports.pictures import thumbnail_size
from src.utils.errors import UserError
from src.utils.files import write_atomic
from src.utils.spaced import evenly_spaced

_MOST_SHOWN = 1024  # samples that one can find and select: at most 1.4 MB of lossless 32 x 32 thumbnails in base64
_SHOWN_PIXELS = 2**25  # of their images, all of which are read
_LEAST_COMPLETE, _MOST_COMPLETE = 4, 64  # samples with all channels and with sounds
_COMPLETE_PIXELS = 2**19  # of these samples' images
_SOUND_VALUES = 2**19  # of their sounds: about 0.8 MB as FLAC in base64
_STYLES = ("base.css", "report.css", "dataset.css")
_SCRIPTS = (
    *("base", "axes", "maps", "selection", "plot", "figures", "cells", "pictures", "finder", "player"),
    *("spectrogram", "waterfall", "dataset_sample", "dataset"),
)


def write_dataset_page(splits: Splits, path: Path, trust: Iterable[str] = ()) -> Path:
    """Write the page of a dataset's splits to `path`, which is returned.

    Figures about labels are of all samples, those about images of an evenly spread part. Sounds are rendered again by
    the dataset's voice if it is built in or one of `trust`, the dotted paths of the user's own voices or modules.
    """
    spec = next(iter(splits.values())).spec
    units = {split: dataset.targets() for split, dataset in splits.items()}
    unit = np.concatenate(list(units.values()))
    quantised = any(dataset.quantised for dataset in splits.values())
    histograms = [histogram(parameter, unit[:, at], quantised) for at, parameter in enumerate(spec.space)]
    related = correlations(spec.space, unit)
    shown = spread(splits, min(_MOST_SHOWN, max(_MOST_COMPLETE, _SHOWN_PIXELS // int(np.prod(spec.image_shape)))))
    values = spec.space.denormalize(np.concatenate([units[split][rows] for split, rows in shown.items()]))
    source, missing = _source(splits, spec, trust)
    complete = _complete_places(spec, source, len(values))
    examples, images = complete_samples(splits, shown, complete, source, values, _SOUND_VALUES)
    found = checks.check_labels_and_images(splits, units)
    if source is not None:
        found.append(checks.check_sounds(source, values[complete], np.stack(images), quantised))
    data = {
        **shown_samples(splits, shown, values),
        **distributions(spec.space, histograms, shown_places(splits, shown)),
        "correlations": related.tolist(),
        "examples": examples,
        "missing": missing,
        "other_note": _note(spec, len(complete), has_sounds=source is not None),
    }
    sections = [
        checks_section(found),
        section("parameters", "Parameters", table(*tables.parameter_table(spec.space), "Parameters")),
        finder_section("samples"),
        sample_section([(row, data["ids"][row]) for row in complete]),
        histogram_section(),
    ]
    if np.isfinite(related).sum() > len(related):
        sections.append(correlation_section())
    sections += _description_sections(splits, spec, quantised)
    title = f"{spec.name}: {len(unit):,} samples"
    intro = (
        f"Figures about parameters are of all {len(unit):,} samples; {len(values):,} of them, evenly spread, are shown."
    )
    page = make_page(title, body(title, [intro], sections), data, _STYLES, [f"{name}.js" for name in _SCRIPTS])
    write_atomic(path, page.encode())
    return path


def _note(spec: DatasetSpec, count: int, has_sounds: bool) -> str:
    """Return what the page lacks of a sample that is not among the `count` complete ones."""
    what = "sounds and all channels" if has_sounds else "all channels"
    note = f"The page holds {what} of {count} samples only, which the list above names."
    small = thumbnail_size(*spec.image_shape[1:])
    if small != spec.image_shape[1:]:
        note += f" The image here is reduced to {small[0]} x {small[1]} pixels."
    return note


def _description_sections(splits: Splits, spec: DatasetSpec, quantised: bool) -> list[str]:
    """Return the sections of what the dataset's description states."""
    rows, counts = spec.origin.sensitivity, [(split, len(dataset)) for split, dataset in splits.items()]
    return [
        _measured("effects", "Effects", tables.effect_table(rows), tables.EFFECTS),
        _measured("limits", "Limits", tables.limit_table(spec.space, rows), tables.LIMITS),
        section("origin", "Origin", table(*tables.origin_table(spec, counts, quantised), "Origin")),
    ]


def _measured(name: str, title: str, content: tables.Table, caption: str) -> str:
    if not content[1]:
        return section(name, title, sentences(["The description of this dataset does not state them."]))
    return section(name, title, table(*content, title), f'<p class="soft">{text(caption)}</p>')


def _source(splits: Splits, spec: DatasetSpec, trust: Iterable[str]) -> tuple[Source | None, str]:
    """Return what renders a dataset's sounds, or None and a sentence that says why there are none."""
    if spec.origin.recipe is None:
        return None, "No sounds: the description of this dataset does not say which synth made it."
    if any(dataset.ragged for dataset in splits.values()):
        return None, "No sounds: the images have several shapes, which no synth of a description makes."
    try:
        return source_of(spec, trust), ""
    except UserError as error:
        return None, f"No sounds: {error}"


def _complete_places(spec: DatasetSpec, source: Source | None, count: int) -> list[int]:
    """Return which of `count` samples have sounds and all channels, evenly spread from the first to the last."""
    most = _COMPLETE_PIXELS // int(np.prod(spec.image_shape))
    if source is not None:
        most = min(most, _SOUND_VALUES // source.front_end.num_samples)
    return evenly_spaced(count, min(max(most, _LEAST_COMPLETE), _MOST_COMPLETE)).tolist()
