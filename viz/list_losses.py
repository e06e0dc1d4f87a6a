"""List every loss: its class, its name in a config, what it takes, and the paper it comes from: `make list-losses`.

python viz/list_losses.py [--markdown]
"""

import argparse
import inspect

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from rich.console import Console
from rich.table import Table

from src.models.losses import Loss

HEADINGS = ("class", "name", "takes", "source")


def rows() -> list[tuple[str, str, str, str]]:
    """Return a row a loss; what a WeightedMultiLoss takes is what its losses take."""
    return [
        (one.__name__, name, ", ".join(one.takes) or "what its losses take", _source(one))
        for name, one in sorted(Loss.registry.items(), key=lambda pair: (pair[1].takes, pair[0]))
    ]


def markdown() -> str:
    """Return the table for the README."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    return "\n".join(
        [*lines, *(f"| `{name}` | `{short}` | {takes} | {source} |" for name, short, takes, source in rows())]
    )


def _source(loss: type[Loss]) -> str:
    text = " ".join(inspect.getdoc(loss).partition("Source:")[2].split())
    return text.removesuffix(".")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="as a Markdown table")
    if parser.parse_args().markdown:
        print(markdown())
        return
    table = Table(*HEADINGS)
    for row in rows():
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
