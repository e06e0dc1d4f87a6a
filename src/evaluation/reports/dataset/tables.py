"""Tables of a dataset's page: its parameters, what the image tells of each, and how the dataset was made."""

from collections.abc import Sequence
from typing import Any

from src.data.spec import DatasetSpec
from src.data.spec_schema import Sensitivity
from src.parameters.space import ParameterSpace
from src.utils.table import Column

Table = tuple[list[Column], list[list[str]]]

EFFECTS = (
    "One step, whole range: median change of the image, in levels of 255, if only that parameter changes. Unmoved: the "
    "share of images that a step leaves as they are. dB range: median change of the range stored with the image."
)
LIMITS = (
    "The least error that the images allow: mean absolute error, and least standard deviation in percent of the range, "
    "which half and nine in ten of the samples have; 29 % means that the image says nothing."
)


def parameter_table(space: ParameterSpace) -> Table:
    """Return the range of each parameter, and the values of the fixed ones."""
    columns = [Column("parameter", text=True), Column("unit", text=True), Column("range", text=True)]
    columns += [Column("scale", text=True), Column("classes")]
    rows = []
    for spec in space:
        values = spec.describe_range(with_unit=False)
        rows.append([spec.name, spec.unit, values, spec.kind if spec.kind != "continuous" else spec.scale])
        rows[-1].append(f"{spec.num_classes:,}")
    for spec in space.specs:
        if spec.is_fixed:
            rows.append([spec.name, spec.unit, spec.format(spec.min), "fixed", ""])
    return columns, rows


def effect_table(rows: Sequence[Sensitivity]) -> Table:
    """Return how strongly each parameter changes the image."""
    columns = [Column("parameter", text=True), *map(Column, ("one step", "whole range", "unmoved", "dB range"))]
    cells = [
        [
            row.name,
            f"{row.step_levels:.2f}",
            f"{row.range_levels:.2f}",
            f"{100 * row.unmoved:.0f} %",
            f"{row.range_db:.2f}",
        ]
        for row in rows
    ]
    return columns, cells


def limit_table(space: ParameterSpace, rows: Sequence[Sensitivity]) -> Table:
    """Return the least error of each parameter that has a limit; no rows for a dataset of an older version."""
    units = {spec.name: spec.unit for spec in space}
    columns = [Column("parameter", text=True), Column("unit", text=True)]
    columns += map(Column, ("least MAE", "median / range", "90 % / range"))
    cells = []
    for row in rows:
        if row.limit_mae is None or row.limit_median is None or row.limit_90 is None:
            continue
        shares = [f"{100 * share:.2g} %" for share in (row.limit_median, row.limit_90)]
        cells.append([row.name, units.get(row.name, ""), f"{row.limit_mae:.2g}", *shares])
    return columns, cells


def origin_table(spec: DatasetSpec, splits: Sequence[tuple[str, int]], quantised: bool) -> Table:
    """Return how many samples there are and how they were made, a row for each thing that is known."""
    origin, spectral = spec.origin, spec.origin.spectral
    generator: dict[str, Any] = origin.generator or {}
    channels, height, width = spec.image_shape
    known = {
        "samples": ", ".join(f"{count:,} {split}" for split, count in splits),
        "labels": "rounded to bytes: 256 values of each range" if quantised else "exact, float32",
        "images": f"{height} x {width}, {channels} channel{'s' if channels > 1 else ''}",
        "channels": "" if spectral is None else ", ".join(spectral.channels),
        "front end": "" if spectral is None else _front_end(spectral.model_dump()),
        "sounds": "" if not origin.duration else f"{origin.duration:g} s at {origin.sample_rate or 0:g} Hz",
        "synth": "" if origin.synth_type == "unknown" else origin.synth_type,
        "seed": generator.get("seed"),
        "built from": ", ".join(_source_names(generator.get("built"))),
        "program version": generator.get("program_version"),
        **{f"SHA-256 of {name}": digest for name, digest in spec.sha256.items()},
    }
    return [Column("what", text=True), Column("value", text=True)], [
        [name, str(value)] for name, value in known.items() if value not in (None, "")
    ]


def _source_names(built: Any) -> list[str]:
    """Return the names of the datasets from which one was built; what a damaged description states is left out."""
    sources = built.get("sources") if isinstance(built, dict) else None
    found = sources if isinstance(sources, list) else []
    return [str(source["name"]) for source in found if isinstance(source, dict) and "name" in source]


def _front_end(spectral: dict[str, Any]) -> str:
    words = "{type}, {n_fft} points, {window_type} window of {n_window} samples, {image_scaling} scaling"
    levels = ", {floor_db:g} to {ceil_db:g} dB" if spectral["image_scaling"] == "global" else ""
    return (words + levels).format(**spectral)
