"""The table clips.csv of datasets of recordings: the file and the group of each sample."""

import csv
import io

import numpy as np

from src.data.audio_folder import CLIPS_FILE
from src.data.build.plan import Plan
from src.data.build.pool import Part, Pool
from src.data.recipe import SPLITS
from src.utils.errors import UserError
from src.utils.files import path_text

_FIELDS = ("split", "row", "file", "start", "group")


def has_clips(pool: Pool) -> bool:
    """Return whether all sources have a table of their clips."""
    return all((part.dataset.directory / CLIPS_FILE).is_file() for part in pool.parts)


def file_groups(pool: Pool) -> np.ndarray:
    """Return the group of recordings (n,) of each sample of a pool, as text; raise UserError without tables."""
    return np.concatenate([_column(part, "group") for part in pool.parts])


def clips_csv(pool: Pool, plan: Plan) -> bytes:
    """Return the table of a plan's samples, all of which are copies of samples of the pool."""
    columns = {
        name: np.concatenate([_column(part, name) for part in pool.parts]) for name in ("file", "start", "group")
    }
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS)
    for number, split in enumerate(SPLITS):
        for row, sample in enumerate(plan.sample[plan.split == number]):
            writer.writerow((split, row, *(columns[name][sample] for name in ("file", "start", "group"))))
    return text.getvalue().encode()


def _column(part: Part, name: str) -> np.ndarray:
    """Return one column of a part's table, (n,) text; names of files and groups begin with their dataset's name.

    Those of a built dataset do already, so that two parts of one dataset name a recording alike.
    """
    path = part.dataset.directory / CLIPS_FILE
    if not path.is_file():
        raise UserError(f"{path_text(path)}: no such file, so the recordings are not known; leave out split.group=file")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("split") == part.split]
    if [row.get("row") for row in rows] != [str(at) for at in range(len(part.dataset))] or name not in rows[0]:
        raise UserError(
            f"{path_text(path)}: does not list the {len(part.dataset)} rows of {part.split}; restore the file"
        )
    named = name == "start" or "built" in (part.dataset.spec.origin.generator or {})
    prefix = "" if named else f"{part.dataset.spec.name}/"
    return np.array([prefix + row[name] for row in rows])
