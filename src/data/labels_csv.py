"""The labels of a folder of sound files from a CSV: a row for each file, a column for each parameter."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydantic import ValidationError

from src.parameters.space import ParameterSpace
from src.parameters.spec import LARGEST, MAX_CATEGORY_LETTERS, ParameterSpec
from src.utils.errors import UserError, did_you_mean, shown
from src.utils.files import path_text, require_content
from src.utils.invalid import describe

_DELIMITERS = (",", ";", "\t")
_MOST_BYTES = 2**26  # of a CSV: a million rows
_MOST_COLUMNS = 1000
_MOST_PARAMETERS = 255  # of a VIMH record
_LONGEST_HEADING = 200  # letters
_LONGEST_NUMBER = 50  # letters
_MOST_CATEGORIES = 64  # of a column that the config does not name: more are comments or identifiers
_SHOWN_FAULTS = 5
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_HEADING = re.compile(r"(.*?)\s*(?:\[([^\[\]]*)\]|\(([^()]*)\))?", re.DOTALL)


@dataclass(frozen=True)
class Labels:
    """The rows of a CSV: n files, relative to its folder, and the values (n, P) float64 of the varying parameters.

    Files of one group, such as those of one player, are never in two splits. `left_out` has a reason for each column
    that is no parameter.
    """

    files: list[str]
    groups: list[str]
    space: ParameterSpace
    values: np.ndarray
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Table:
    """The cells of a CSV by column, the line of each row, and each column's unit."""

    name: str
    columns: dict[str, list[str]]
    units: dict[str, str]
    lines: list[int]
    delimiter: str

    def refuse(self, faults: Sequence[str], remedy: str = "") -> None:
        """Raise UserError with the first faults, if there are any, and a remedy for all of them."""
        if faults:
            rest = len(faults) - _SHOWN_FAULTS
            more = f"; and {rest} more" if rest > 0 else ""
            ending = f"; {remedy}" if remedy else ""
            raise UserError(f"{self.name}: {'; '.join(faults[:_SHOWN_FAULTS])}{more}{ending}")


def read_labels(path: Path, parameters: Mapping[str, Any] | None, ignore: Sequence[str]) -> Labels:
    """Read a CSV as `parse_labels` does."""
    require_content(path, "give a CSV with a column `file`")
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path_text(path)}: {path.stat().st_size} bytes; a CSV of labels has at most {_MOST_BYTES}")
    return parse_labels(path.read_bytes(), path_text(path), parameters, ignore)


def parse_labels(
    content: bytes, name: str, parameters: Mapping[str, Any] | None = None, ignore: Sequence[str] = ()
) -> Labels:
    """Return the labels that a CSV holds: UTF-8, separated by commas, semicolons or tabs, a column named `file`.

    A heading can give a unit, as in `cutoff [Hz]`. A column of numbers is a parameter from its least to its greatest
    number, and one of a few different texts is categorical. `parameters` chooses columns, and its entries have the keys
    of ParameterSpec; `ignore` lists columns to leave out. The column `group` is optional. Raises UserError, one line
    that names `name`, the lines of the CSV and the values at fault.
    """
    table = _read_table(content, name)
    for key, given in (("parameters", parameters or {}), ("ignore", ignore)):
        for column in given:
            if column not in table.columns:
                raise UserError(
                    f"data.{key}: {name} has no column {shown(column)}.{did_you_mean(column, table.columns)}"
                )
    files = _files(table)
    groups = [cell or file for cell, file in zip(table.columns.get("group", files), files, strict=True)]
    specs, values, left_out = [], [], {}
    for column, cells in table.columns.items():
        if column in ("file", "group", *ignore) or (parameters and column not in parameters):
            continue
        reason = "" if parameters else _no_parameter(cells, table.delimiter)
        if reason:
            left_out[column] = reason
            continue
        spec, numbers = _parameter(table, column, (parameters or {}).get(column) or {})
        specs.append(spec)
        if spec.is_fixed:
            left_out[column] = f"constant, {spec.describe_range()}"
        else:
            values.append(numbers)
    if not values:
        reasons = "".join(f"; {column}: {reason}" for column, reason in left_out.items())
        raise UserError(f"{name}: no column varies, so there is nothing to learn{reasons}; add a parameter's values")
    if len(values) > _MOST_PARAMETERS:
        raise UserError(
            f"{name}: {len(values)} columns vary, the maximum is {_MOST_PARAMETERS}; list some in data.ignore"
        )
    return Labels(files, groups, ParameterSpace(specs), np.stack(values, axis=1), left_out)


def _read_table(content: bytes, name: str) -> _Table:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: byte {error.start} is not UTF-8; save it as CSV in UTF-8") from error
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            headings = [cell.strip() for cell in next(reader, [])]
        except csv.Error:  # quotes that belong to another delimiter
            continue
        if "file" in [heading.casefold() for heading in headings]:
            try:
                return _table(reader, headings, name, delimiter)
            except csv.Error as error:
                raise UserError(f"{name}: line {reader.line_num}: {error}; correct its quotes") from error
    raise UserError(f"{name}: no column of its first line is called `file`; name each file's path there")


def _table(reader: Any, headings: list[str], name: str, delimiter: str) -> _Table:
    """Return the rows below the headings; raise UserError for rows and headings that do not fit together."""
    while not headings[-1]:  # spreadsheets write empty columns
        headings.pop()
    rows, lines, faults = [], [], []
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        while len(cells) > len(headings) and not cells[-1]:
            cells.pop()
        if not any(cells):
            continue
        if len(cells) != len(headings):
            faults.append(f"line {reader.line_num}: {len(cells)} cells, but {len(headings)} headings; quote texts")
        rows.append(cells)
        lines.append(reader.line_num)
    columns: dict[str, list[str]] = {}
    units = {}
    if len(headings) > _MOST_COLUMNS:
        raise UserError(f"{name}: {len(headings)} columns, the maximum is {_MOST_COLUMNS}; leave some out")
    for number, heading in enumerate(headings, 1):
        found = _HEADING.fullmatch(heading[:_LONGEST_HEADING])
        label = found[1] if found else heading
        column = re.sub(r"\W+", "_", label).strip("_")  # a name for configs and metrics
        if column.casefold() in ("file", "group"):
            column = column.casefold()
        if not column or column in columns:
            faults.append(f"heading {number}: {shown(heading)} is empty or occurs twice; give each column a name")
        columns[column] = []
        units[column] = (found[2] or found[3] or "").strip() if found else ""
    table = _Table(name, columns, units, lines, delimiter)
    table.refuse(faults)
    if not rows:
        raise UserError(f"{name}: has no row below its headings; add one for each file")
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        columns[column] = list(cells)
    return table


def _files(table: _Table) -> list[str]:
    """Return each row's path, relative to the folder; raise UserError for one that leads out of it, or comes twice."""
    first: dict[str, int] = {}
    faults = []
    for line, cell in zip(table.lines, table.columns["file"], strict=True):
        path = PurePosixPath(cell)
        file = str(path)
        if not cell or path.is_absolute() or ".." in path.parts or not cell.isprintable():
            faults.append(f"line {line}: file {shown(cell)}; give a path inside the folder, relative to it")
        elif file in first:
            faults.append(f"line {line}: {shown(file)} is also on line {first[file]}; give each file one row")
        first.setdefault(file, line)
    table.refuse(faults)
    return list(first)


def _no_parameter(cells: list[str], delimiter: str) -> str:
    """Return why a column that the config does not name is no parameter, or an empty text."""
    if not any(cells):
        return "empty"
    if _are_numbers(cells, delimiter):
        return ""
    different = set(cells)
    are_few = len(different) == 1 or len(different) <= min(_MOST_CATEGORIES, len(cells) / 2)
    are_short = max(map(len, different)) <= MAX_CATEGORY_LETTERS
    return "" if are_few and are_short else f"{len(different)} different texts"


def _are_numbers(cells: list[str], delimiter: str) -> bool:
    """Return whether most cells that are not empty are numbers; the others are then mistakes."""
    given = [cell for cell in cells if cell]
    return 2 * sum(not math.isnan(_number(cell, delimiter)) for cell in given) > len(given)


def _number(cell: str, delimiter: str) -> float:
    """Return a cell's number, NaN if it is none; cells that no comma separates can have a decimal comma."""
    if len(cell) > _LONGEST_NUMBER:
        return math.nan
    text = cell if delimiter == "," else cell.replace(",", ".")
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if abs(value) <= LARGEST else math.nan


def _parameter(table: _Table, name: str, given: Mapping[str, Any]) -> tuple[ParameterSpec, np.ndarray]:
    """Return a column's parameter and its values (n,) float64; `given` goes before what is found."""
    cells = table.columns[name]
    found: dict[str, Any] = {"name": name, "unit": table.units[name]}
    is_text = "values" in given or not _are_numbers(cells, table.delimiter)
    if is_text:
        found["values"] = sorted(set(cells))
    numbers = np.array([math.nan if is_text else _number(cell, table.delimiter) for cell in cells])
    missing = [at for at, cell in enumerate(cells) if not cell or (not is_text and math.isnan(numbers[at]))]
    wanted = "one of the column's texts" if is_text else "a number"
    remedy = f"give {wanted}, or leave out the row, or the column with data.ignore=[{name}]"
    table.refuse([f"line {table.lines[at]}: {name} {shown(cells[at])}" for at in missing], remedy)
    if not is_text:
        found |= {"min": float(numbers.min()), "max": float(numbers.max())}
    try:
        spec = ParameterSpec.model_validate(found | dict(given))
    except ValidationError as error:
        raise UserError(describe(error, f"data.parameters.{name}")) from error
    if is_text and spec.values is not None:
        numbers = np.array([spec.min + spec.values.index(cell) if cell in spec.values else math.nan for cell in cells])
    fitting = _fits(spec, numbers)
    remedy = f"data.parameters.{name} allows {spec.describe_range()}; correct either"
    table.refuse(
        [f"line {table.lines[at]}: {name} {shown(cells[at])}; {remedy}" for at in np.flatnonzero(~fitting).tolist()]
    )
    return spec, numbers


def _fits(spec: ParameterSpec, values: np.ndarray) -> np.ndarray:
    """Return which values (n,) are in the range and, unless the parameter is continuous, on its grid; (n,) bool."""
    slack = 1e-6 * (spec.max - spec.min)
    fits = (values >= spec.min - slack) & (values <= spec.max + slack)
    if spec.kind == "continuous" or spec.is_fixed:
        return fits
    nearest = ParameterSpace([spec]).on_grid(np.where(fits, values, spec.min)[:, None])[:, 0]
    return fits & (np.abs(values - nearest) <= slack)
