"""List every loss, grouped by its input, with its name in a config and its source: `make list-losses`.

python viz/list_losses.py [--markdown]
"""

import argparse
import inspect
import shutil
import textwrap

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.cli.script import run_script
from src.models.losses import Loss
from src.models.losses.inputs import KINDS
from src.models.losses.known_modules import AURALOSS, TORCH

HEADINGS = ("class", "name", "takes", "source")
_OF_PARTS = "depends on its parts"  # a sum of losses, a module of another package
_INDENT = 30  # the longest name and four spaces


def rows() -> list[tuple[str, str, str, str]]:
    """Return one row per loss, sorted by what it takes."""
    return [
        (loss.__name__, name, ", ".join(loss.takes) or _OF_PARTS, _source(loss))
        for name, loss in sorted(Loss.registry.items(), key=lambda pair: (pair[1].takes, pair[0]))
    ]


def markdown() -> str:
    """Return the table for the documentation."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    return "\n".join(
        [*lines, *(f"| `{name}` | `{short}` | {takes} | {source} |" for name, short, takes, source in rows())]
    )


def listing(width: int) -> str:
    """Return the text for the terminal: the losses below a heading for what they take, at most `width` wide."""
    lines, group = [], None
    for _, name, takes, source in rows():
        if takes != group:
            group = takes
            lines += ["", *_wrapped(f"{takes}: {_described(takes)}", width, "  ")]
        lines += _wrapped(f"  {name:{_INDENT - 2}}{source}", width, " " * _INDENT)
    lines += ["", *_wrapped("torch.nn and auraloss, by class name or dotted path:", width, "  ")]
    for inputs in dict.fromkeys(TORCH.values()):
        names = ", ".join(f"torch.nn.{name}" for name, taken in TORCH.items() if taken == inputs)
        lines += _wrapped(f"  {', '.join(inputs):{_INDENT - 2}}{names}", width, " " * _INDENT)
    for home, classes in AURALOSS.items():
        lines += _wrapped(f"  {'waveform':{_INDENT - 2}}{home}: {', '.join(classes)}", width, " " * _INDENT)
    return "\n".join(lines[1:])


def _described(takes: str) -> str:
    if takes == _OF_PARTS:
        return "whatever all its parts take"
    return "; or ".join(KINDS[kind].description for kind in takes.split(", "))


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _source(loss: type[Loss]) -> str:
    text = " ".join((inspect.getdoc(loss) or "").partition("Source:")[2].split())
    return text.removesuffix(".")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    arguments = parser.parse_args()
    print(markdown() if arguments.markdown else listing(min(shutil.get_terminal_size().columns, 120)))


if __name__ == "__main__":
    run_script(main)
