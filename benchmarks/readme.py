"""Measured tables go into the README between markers, so that nobody copies figures by hand."""

from pathlib import Path

from src.utils.files import write_whole

ROOT = Path(__file__).resolve().parents[1]


def update_readme(name: str, table: str) -> None:
    """Put a table between the README's markers of that name."""
    path = ROOT / "README.md"
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = path.read_text().split(begin)
    write_whole(path, f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}".encode())
