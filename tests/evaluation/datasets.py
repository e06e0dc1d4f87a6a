"""A dataset of images that no synth made, with parameters of every kind and with names that a screen could misread."""

from pathlib import Path

import numpy as np

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.data.vimh.records import CURRENT_METADATA_BYTES, pack_records
from src.data.vimh.writer import DatasetWriter
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

SPACE = ParameterSpace(
    [
        ParameterSpec(name="gain[/]", min=-20, max=0, step=1, unit="<i>dB</i> [red]"),
        ParameterSpec(name="wave :bomb:", min=0, max=3, kind="categorical"),
        ParameterSpec(name="$octave_", min=-2, max=2, step=1, kind="ordinal"),
        ParameterSpec(name="<script>alert(1)</script>", min=1, max=2, kind="categorical"),
    ]
)
COUNTS = {"train": 40, "val": 10, "test": 30}


def write_every_kind(directory: Path) -> dict[str, np.ndarray]:
    """Write the dataset; return the values (n, P) of each split. Levels of an image follow its parameters."""
    spec = DatasetSpec(directory.name, Inputs((1, 8, 8)), SPACE, counts=COUNTS, metadata_bytes=CURRENT_METADATA_BYTES)
    values = {}
    with DatasetWriter(directory, spec) as writer:
        for number, (split, count) in enumerate(COUNTS.items()):
            values[split] = SPACE.sample(number, 0, count)
            unit = SPACE.normalize(values[split])
            images = np.repeat(np.repeat(unit, 2, axis=1)[:, None, :, None], 8, axis=3) * 255
            scale = np.tile(np.float32([-80, 0]), (count, 1))
            records = pack_records(images.astype(np.uint8), SPACE.to_byte(values[split]), scale)
            writer.write(split, np.arange(count), records, values[split])
    return values
