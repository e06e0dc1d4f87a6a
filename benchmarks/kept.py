"""Results that a benchmark keeps in a JSON file, so that it continues where it stopped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.utils.files import write_atomic


def load(store: Path) -> dict[str, Any]:
    """Return the kept results by their keys."""
    return json.loads(store.read_text()) if store.exists() else {}


def keep(store: Path, done: dict[str, Any]) -> None:
    """Write all results, sorted by their keys."""
    write_atomic(store, (json.dumps(dict(sorted(done.items())), indent=1) + "\n").encode())


def with_spread(values: np.ndarray, mean: str = ".3g", deviation: str = ".1g") -> str:
    """Return the mean of values (n,) and their standard deviation, in these formats; the mean alone of one value."""
    spread = f" ± {values.std(ddof=1):{deviation}}" if len(values) > 1 else ""
    return f"{values.mean():{mean}}{spread}"
