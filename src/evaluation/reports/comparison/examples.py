"""Images and sounds of a few samples of a comparison, and what needs no network, from the dataset."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.data.info import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.image_axes import known_axes
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reports.examples import make_examples, true_images
from src.evaluation.reports.neighbours import nearest_errors
from src.evaluation.reports.thumbnails import thumbnails
from src.evaluation.rerender import rendering_source

_MOST_HEARD = 4  # methods; more make a page large, and nobody compares them by ear
_SOUND_VALUES = 2**19  # samples of all sounds in a page: about 1 MB as FLAC


def pictures_and_sounds(
    methods: Mapping[str, Sequence[SplitPredictions]],
    pair: Sequence[str],
    chosen: Mapping[int, str],
    rows: np.ndarray,
    directory: Path,
    trust: Iterable[str] = (),
) -> dict[str, Any] | None:
    """Return thumbnails of `rows`, and the examples `chosen`, as data of a page; None if it is another dataset.

    The methods of `pair`, and a few others, are rendered with the dataset's synth and front end, from the values of
    their first runs. `neighbours` are the `nearest_errors`, `missing` is a sentence that says what cannot be shown.
    """
    spec = read_spec(directory)
    runs = [of_method[0] for of_method in methods.values()]
    checksums = {run.test_sha256 for run in runs} - {None}
    if spec.sha256.get("test") not in checksums:
        return None
    test = VIMHDataset(directory, "test", spec=spec)
    source, at = rendering_source(spec, trust), list(chosen)
    values = {"true": runs[0].truth[at]}
    for name in [*dict.fromkeys((*pair, *methods))][:_MOST_HEARD]:
        values[f"method-{list(methods).index(name)}"] = methods[name][0].value[at]
    true = true_images(runs[0].truth[at], at, test, source)
    examples = make_examples(chosen, values, spec, true, source, _SOUND_VALUES)
    where = {int(row): place for place, row in enumerate(rows)}
    return {
        "examples": [example | {"row": where[example["row"]]} for example in examples],
        "thumbnails": thumbnails(test, rows),
        "axes": known_axes(spec),
        "neighbours": nearest_errors(runs[0].space, test, VIMHDataset(directory, "train", spec=spec)),
        "other_note": "The page holds the sounds of the buttons above only, so that it stays small.",
        "missing": "" if source is not None else "No sounds: the dataset's synth is missing or cannot render here.",
    }
