"""Tables that fit the terminal: headings wrap, less important columns are left out, and no number is ever cut."""

import os
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

WIDTH = 80  # of a file or a pipe, which have no width of their own
_GAP = 2  # blanks between two columns
_PIECE = 24  # letters of a long name that stay on one line as long as a column can be left out instead
_FEWEST = 8  # letters of a name that always stay on one line
_RULED = Box("    \n    \n ── \n    \n ── \n    \n    \n    \n")  # a line below the headings and between sections

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Cells wrap only with `text`. Where the width does not suffice, the column with the largest `drop` is left out
    first; a column whose `drop` is 0 never is.
    """

    heading: str
    text: bool = False
    drop: int = 0


def plain(text: object, encoding: str = "utf-8") -> str:
    """Return text in which whatever an encoding or a terminal cannot print is a backslash escape, as in Python."""
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text))
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def table(
    columns: Sequence[Column], rows: Rows, width: int, sections: Collection[int] = (), encoding: str = "utf-8"
) -> tuple[Group, list[str]]:
    """Return a table at most `width` letters wide, and the headings of the columns that it leaves out.

    Columns that do not fit beside each other, and that may not be left out, continue below, beside the first column
    again. A line is drawn above the rows that `sections` names. All text is shown as it is: no markup, no `:emoji:`.
    """
    columns = [Column(plain(one.heading, encoding), one.text, one.drop) for one in columns]
    rows = [[plain(cell, encoding) for cell in row] for row in rows]
    panels = _panels(columns, rows, width)
    shown = {at for panel in panels for at in panel}
    drawn = [_draw(columns, rows, panel, sections) for panel in panels]
    parts = [drawn[0], *(part for one in drawn[1:] for part in ("", one))]
    return Group(*parts), [one.heading for at, one in enumerate(columns) if at not in shown]


def show(
    columns: Sequence[Column],
    rows: Rows,
    title: str = "",
    caption: str = "",
    all_in: str = "",
    sections: Collection[int] = (),
) -> None:
    """Print a table; `all_in` names the file that holds the columns for which there is no room."""
    console = terminal()
    encoding = console.encoding
    drawn, left_out = table(columns, rows, console.width, sections, encoding)
    if left_out:
        where = f"; {all_in} has all columns" if all_in else ""
        caption = f"{caption}\nNo room for: {', '.join(dict.fromkeys(left_out))}{where}.".strip()
    lines = [Text(plain(line, encoding), overflow="fold") for line in caption.splitlines()]
    if title:
        console.print(Text(plain(title, encoding), "bold", overflow="fold"), end="\n\n")
    console.print(drawn, crop=False, width=max(console.width, console.measure(drawn).minimum))
    for line in lines:
        console.print(line, style="dim")
    console.print()


def fits(columns: Sequence[Column], rows: Rows) -> bool:
    """Return whether the terminal has room for all columns, with no name broken within a word."""
    console = terminal()
    rows = [[plain(cell, console.encoding) for cell in row] for row in rows]
    return _total(_narrow(columns, rows, range(len(columns)), _PIECE)) <= console.width


def terminal() -> Console:
    """Return where tables are printed: as wide as the terminal, else as COLUMNS, else 80 letters."""
    columns = os.environ.get("COLUMNS", "")
    given = int(columns) if columns.isdecimal() else WIDTH
    width = None if sys.stdout.isatty() else given
    return Console(width=width, highlight=False, markup=False, emoji=False)


def markdown(columns: Sequence[Column], rows: Rows) -> str:
    """Return the whole table in Markdown, text as text."""
    lines = [[escape_markdown(one.heading) for one in columns], ["---" if one.text else "---:" for one in columns]]
    lines += [[escape_markdown(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape_markdown(text: str) -> str:
    """Escape what Markdown would read as more than text; an underscore within a word is none of it."""
    return re.sub(r"[\\`*\[\]<>|&~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", plain(text))


def _panels(columns: Sequence[Column], rows: Rows, width: int) -> list[dict[int, int]]:
    """Return the columns that stand beside each other, as {index: width}, for each part of a table from the top."""
    shown = list(range(len(columns)))
    natural = {at: max(cell_len(text) for text in _cells(columns, rows, at)) for at in shown}
    widths = _narrow(columns, rows, shown, _PIECE)
    while _total(widths) > width and any(columns[at].drop for at in shown):
        shown.remove(max(shown, key=lambda at: columns[at].drop))
        widths = _narrow(columns, rows, shown, _PIECE)
    if _total(widths) > width:
        widths = _narrow(columns, rows, shown, _FEWEST)
    panels = [{shown[0]: widths[shown[0]]}]
    for at in shown[1:]:
        if len(panels[-1]) > 1 and _total(panels[-1] | {at: widths[at]}) > width:
            panels.append({shown[0]: widths[shown[0]]})
        panels[-1][at] = widths[at]
    for panel in panels:
        for at in panel:  # the room that is left
            panel[at] += max(0, min(natural[at] - panel[at], width - _total(panel)))
    return panels


def _narrow(columns: Sequence[Column], rows: Rows, shown: Collection[int], piece: int) -> dict[int, int]:
    """Return the least width of columns whose words may be broken after `piece` letters; numbers may not."""
    widths = {}
    for at in shown:
        heading, *cells = _cells(columns, rows, at)
        broken = [heading, *cells] if columns[at].text else [heading]
        whole = [] if columns[at].text else cells
        words = (min(piece, cell_len(word.rstrip())) for text in broken for word in _words(text))
        widths[at] = max([1, *words, *map(cell_len, whole)])
    return widths


def _cells(columns: Sequence[Column], rows: Rows, at: int) -> list[str]:
    return [columns[at].heading, *(row[at] for row in rows)]


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _words(text: str) -> list[str]:
    return re.split(r"(?<=[ _/])(?=[^ _/])", text)


def _wrap(text: str, width: int) -> str:
    """Break text into lines after words and underscores, and within a word that is longer than a line."""
    lines = [""]
    for word in _words(text):
        if lines[-1] and cell_len((lines[-1] + word).rstrip()) > width:
            lines.append("")
        for letter in word:
            if cell_len((lines[-1] + letter).rstrip()) > width:
                lines.append("")
            lines[-1] += letter
    return "\n".join(line.rstrip() for line in lines)


def _draw(columns: Sequence[Column], rows: Rows, panel: dict[int, int], sections: Collection[int]) -> Table:
    drawn = Table(box=_RULED, show_edge=False, pad_edge=False, padding=(0, 0, 0, _GAP - 1))
    for at, width in panel.items():
        justify = "left" if columns[at].text else "right"
        heading = Text(_wrap(columns[at].heading, width))
        drawn.add_column(heading, justify=justify, width=width, no_wrap=True, vertical="top")
    for number, row in enumerate(rows):
        if number in sections and number:
            drawn.add_section()
        cells = ((row[at], columns[at].text, width) for at, width in panel.items())
        drawn.add_row(*(Text(_wrap(cell, width) if text else cell) for cell, text, width in cells))
    return drawn
