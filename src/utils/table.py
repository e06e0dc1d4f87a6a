"""Tables that fit the terminal: headings wrap, less important columns are left out, and numbers are never cut."""

import os
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

WIDTH = 80  # for files and pipes, which have no width
_GAP = 2  # blanks between two columns
_PIECES = (24, 16, 12, 8)  # letters of a word that stay on one line; the later ones if no column can be left out
_UNLIMITED = 10_000
_NUMBER = re.compile(r"[-+]?[\d.,]{1,20}(e[-+]?\d+)?%?")
_RULED = Box("    \n    \n ── \n    \n ── \n    \n    \n    \n")  # a line below the headings and between sections

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Cells wrap only with `text`. If the width is too small, the column with the largest `drop` is left out
    first; a column whose `drop` is 0 is never left out.
    """

    heading: str
    text: bool = False
    drop: int = 0


def plain(text: object, encoding: str = "utf-8") -> str:
    """Return text with backslash escapes, as in Python, for what an encoding or a terminal cannot print."""
    escaped = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))
    return "".join(escaped).encode(encoding, "backslashreplace").decode(encoding)


def table(
    columns: Sequence[Column], rows: Rows, width: int, sections: Collection[int] = (), encoding: str = "utf-8"
) -> tuple[Group, list[str]]:
    """Return a table at most `width` letters wide, and the headings of the columns that it leaves out.

    Columns that do not fit, and that may not be left out, continue in a table below, which repeats the first column.
    A line is drawn above the rows in `sections`. Text is shown unchanged: no markup, no `:emoji:`.
    """
    columns, rows = _as_text(columns, rows, encoding)
    panels = _panels(columns, rows, width)
    shown = {at for panel in panels for at in panel}
    drawn = [_draw(columns, rows, panel, sections) for panel in panels]
    parts = [drawn[0], *(part for below in drawn[1:] for part in ("", below))]
    return Group(*parts), [column.heading for at, column in enumerate(columns) if at not in shown]


def show(
    columns: Sequence[Column],
    rows: Rows,
    title: str = "",
    caption: str = "",
    all_in: str = "",
    sections: Collection[int] = (),
) -> None:
    """Print a table; `all_in` names the file that holds the columns that do not fit."""
    console, wide = terminal(), terminal()
    wide.width = _UNLIMITED  # the widths are chosen here, so rich must not cut anything
    drawn, left_out = table(columns, rows, console.width, sections, console.encoding)
    if left_out:
        where = f"; {all_in} has all columns" if all_in else ""
        headings = [plain(column.heading, console.encoding) for column in columns]
        names = dict.fromkeys(
            name if headings.count(name) == left_out.count(name) else f"other {name}s" for name in left_out
        )
        caption = f"{caption}\nNo room for: {', '.join(names)}{where}.".strip()
    if title:
        console.print(Text(plain(title, console.encoding), "bold", overflow="fold"), end="\n\n")
    wide.print(drawn)
    for line in caption.splitlines():
        console.print(Text(plain(line, console.encoding), "dim", overflow="fold"))
    console.print()


def show_lines(*lines: str) -> None:
    """Print lines as text, unbroken, so that paths in them can be copied."""
    console = terminal()
    for line in lines:
        console.print(Text(plain(line, console.encoding)), soft_wrap=True)


def fits(columns: Sequence[Column], rows: Rows) -> bool:
    """Return whether all columns fit the terminal without breaking a word of a name."""
    console = terminal()
    columns, rows = _as_text(columns, rows, console.encoding)
    return _total(_narrow(columns, rows, range(len(columns)), _PIECES[0])) <= console.width


def terminal() -> Console:
    """Return the console that prints tables: as wide as the terminal, otherwise COLUMNS, otherwise 80 letters."""
    columns = os.environ.get("COLUMNS", "")
    given = int(columns) if columns.isdecimal() else 0
    return Console(width=None if sys.stdout.isatty() else given or WIDTH, highlight=False, markup=False, emoji=False)


def markdown(columns: Sequence[Column], rows: Rows) -> str:
    """Return the whole table in Markdown, with its text escaped."""
    lines = [[escape_markdown(column.heading) for column in columns]]
    lines += [["---" if column.text else "---:" for column in columns]]
    lines += [[escape_markdown(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def csv_text(text: str) -> str:
    """Return text for a cell of a CSV file: printable, with a leading ' where a spreadsheet would read a formula."""
    text = plain(text)
    is_number = re.fullmatch(r"[-+]?[\d.]{1,20}(e[-+]?\d{1,3})?", text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) and not is_number else text


def escape_markdown(text: str) -> str:
    """Escape what Markdown would read as markup; an underscore within a word is not."""
    return re.sub(r"[\\`*\[\]<>|&~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", plain(text))


def _as_text(columns: Sequence[Column], rows: Rows, encoding: str) -> tuple[list[Column], list[list[str]]]:
    named = [Column(plain(column.heading, encoding), column.text, column.drop) for column in columns]
    return named, [[plain(cell, encoding) for cell in row] for row in rows]


def _panels(columns: Sequence[Column], rows: Rows, width: int) -> list[dict[int, int]]:
    """Return the columns of each part of a table, from the top, as {index: width}."""
    shown = list(range(len(columns)))
    natural = {at: max(cell_len(text) for text in _cells(columns, rows, at)) for at in shown}
    widths = _narrow(columns, rows, shown, _PIECES[0])
    while _total(widths) > width and any(columns[at].drop for at in shown):
        shown.remove(max(shown, key=lambda at: columns[at].drop))
        widths = _narrow(columns, rows, shown, _PIECES[0])
    for piece in _PIECES[1:-1]:
        if _total(widths) > width:
            widths = _narrow(columns, rows, shown, piece)
    first = shown[0]
    if any(_total({first: widths[first], at: widths[at]}) > width for at in shown[1:]):
        widths = _narrow(columns, rows, shown, _PIECES[-1])
    panels = [{first: widths[first]}]
    for at in shown[1:]:
        if len(panels[-1]) > 1 and _total(panels[-1] | {at: widths[at]}) > width:
            panels.append({first: widths[first]})
        panels[-1][at] = widths[at]
    for panel in panels:
        for at in panel:  # distribute the remaining width
            panel[at] += max(0, min(natural[at] - panel[at], width - _total(panel)))
    return panels


def _narrow(columns: Sequence[Column], rows: Rows, shown: Collection[int], piece: int) -> dict[int, int]:
    """Return the least widths of columns if words, but not numbers, may be broken after `piece` letters.

    While a column can still be left out, only names in headings are broken into their parts.
    """
    split = str.split if piece == _PIECES[0] else _parts
    widths = {}
    for at in shown:
        heading, *cells = _cells(columns, rows, at)
        words = _parts(heading)
        if columns[at].text:
            words += [word for cell in cells for word in split(cell)]
            cells = []
        widths[at] = max([1, *(_least(word.rstrip(), piece) for word in words), *map(cell_len, cells)])
    return widths


def _least(word: str, piece: int) -> int:
    return cell_len(word) if _NUMBER.fullmatch(word) else min(piece, cell_len(word))


def _cells(columns: Sequence[Column], rows: Rows, at: int) -> list[str]:
    return [columns[at].heading, *(row[at] for row in rows)]


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _parts(text: str) -> list[str]:
    """Split text after blanks, underscores and slashes, and within dotted and CamelCase names."""
    return re.split(r"(?<=[ _/])(?=[^ _/])|(?<=[^\W\d]\.)(?=[^\W\d])|(?<=[a-z])(?=[A-Z])", text)


def _wrap(text: str, width: int) -> str:
    """Break text into lines between words; a word longer than a line is broken between its parts."""
    lines = [""]
    for word in re.split(r"(?<= )(?=[^ ])", text):
        for part in _parts(word) if cell_len(word.rstrip()) > width else [word]:
            if lines[-1] and cell_len((lines[-1] + part).rstrip()) > width:
                lines.append("")
            for letter in part:  # a part longer than a line is broken anywhere
                if cell_len((lines[-1] + letter).rstrip()) > width:
                    lines.append("")
                lines[-1] += letter
    return "\n".join(line.rstrip() for line in lines)


def _draw(columns: Sequence[Column], rows: Rows, panel: dict[int, int], sections: Collection[int]) -> Table:
    drawn = Table(box=_RULED, show_edge=False, pad_edge=False, padding=(0, 0, 0, _GAP - 1))
    for at, width in panel.items():
        justify: Literal["left", "right"] = "left" if columns[at].text else "right"
        heading = Text(_wrap(columns[at].heading, width))
        drawn.add_column(heading, justify=justify, width=width, no_wrap=True, vertical="top")
    for number, row in enumerate(rows):
        if number in sections and number:
            drawn.add_section()
        cells = ((row[at], columns[at].text, width) for at, width in panel.items())
        drawn.add_row(*(Text(_wrap(cell, width) if text else cell) for cell, text, width in cells))
    return drawn
