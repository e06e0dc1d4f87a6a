"""Imports go one way: a room imports from the rooms below it, and never from those above."""

import ast
from pathlib import Path

import pytest

from tests.running import ROOT

# from the bottom up; an entry point, a module directly in src/, may import from all of them
ROOMS = (
    *("utils", "parameters", "spectral", "synth", "data", "models", "evaluation"),
    *("run", "search", "callbacks", "cli"),
)
ENTRIES = {ROOT / "src/evaluation/limits.py"}  # entry points within a room: nothing imports them
MODULES = sorted((ROOT / "src").glob("*/**/*.py"))


def imported(path: Path) -> set[str]:
    """Return the dotted paths that a file imports from src, also within functions and for type checking."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("src.") and name != "src.__version__"}


def test_every_room_has_its_place():
    assert {path.relative_to(ROOT / "src").parts[0] for path in MODULES} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_from_above(room):
    allowed = ROOMS[: ROOMS.index(room) + 1]
    for path in set((ROOT / "src" / room).rglob("*.py")) - ENTRIES:
        for name in imported(path):
            assert name.split(".")[1] in allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_nothing_under_src_imports_what_is_beside_it():
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            beside = {"tests", "benchmarks", "viz", "examples", "configs", "generate_vimh", "build_dataset"}
            assert not beside & {name.partition(".")[0] for name in names}, path


def test_nothing_imports_an_entry_point():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ENTRIES}
    for path in (ROOT / "src").rglob("*.py"):
        assert not [name for name in imported(path) if name.startswith(tuple(names))], path
