"""Measured tables go into the README or a page of docs/ between markers, so that nobody copies figures by hand."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def update_readme(name: str, table: str) -> None:
    """Put a table between the markers of that name, in the page that has them."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text()
        if begin in text:
            before, rest = text.split(begin)
            path.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}")
            return
    raise FileNotFoundError(f"{name}: no page has the marker {begin}")
