"""Write measured tables between their markers in the README or a page of docs, so that nobody copies them by hand."""

from pathlib import Path

from src.utils.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]


def update_block(name: str, table: str, root: Path = ROOT) -> None:
    """Put a table between the markers of that name in every page that has them; raise ValueError if none has."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    pages = [path for path in (root / "README.md", *sorted(root.glob("docs/**/*.md"))) if begin in path.read_text()]
    if not pages:
        raise ValueError(f"neither README.md nor a page of docs has the marker {begin}")
    for path in pages:
        before, rest = path.read_text().split(begin)
        write_atomic(path, f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}".encode())
