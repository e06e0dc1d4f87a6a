"""Learning curves from a run's metrics.csv, and which epoch was chosen."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LARGEST_BYTES = 2**26  # of a metrics.csv: 100,000 epochs
_MOST_POINTS = 500  # of a line; a longer one is thinned out


def read_curves(run: Path, session: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return {groups, chosen} of a run's directory and its record; None if it holds no readable metrics.csv.

    A group has a title and lines, each with a name and points (epoch, value). Epochs count from 1, as in the terminal,
    while those of the file count from 0. `chosen` is the epoch of the best value
    of the metric that chose the checkpoint, or None.
    """
    path = run / "csv" / "metrics.csv"
    if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    monitor = str(session.get("monitor") or "val/nmae")
    groups = []
    for title, names in (("loss", ("train/loss", "val/loss")), (monitor, (monitor,))):
        lines = [{"name": name, "points": _points(rows, name)} for name in names]
        lines = [line for line in lines if line["points"]]
        if lines and title != "val/loss":
            groups.append({"title": title, "lines": lines})
    if not groups:
        return None
    return {"groups": groups, "chosen": _epoch_of(_points(rows, monitor, thin=False), session.get("score"))}


def _points(rows: list[dict[str, str]], name: str, thin: bool = True) -> list[tuple[int, float]]:
    found = []
    for row in rows:
        epoch, value = _number(row.get("epoch")), _number(row.get(name))
        if epoch is not None and value is not None:
            found.append((int(epoch) + 1, value))
    return found[:: math.ceil(len(found) / _MOST_POINTS)] if thin and found else found


def _epoch_of(points: list[tuple[int, float]], score: object) -> int | None:
    """Return the epoch of the value nearest to a run's score."""
    if not points or not isinstance(score, int | float) or not math.isfinite(score):
        return None
    return min(points, key=lambda point: abs(point[1] - score))[0]


def _number(text: object) -> float | None:
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
