"""Work on many files: what each yields, names that differ, and faults that do not cost the others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from src.evaluation.each_file import for_each_file
from src.utils.errors import UserError


def test_a_fault_costs_only_what_comes_after_it_in_its_file():
    def work(path: Path, stem: str) -> Iterator[str]:
        yield f"{stem} 1"
        if path.name == "b.wav":
            raise UserError(f"{path}: damaged")
        yield f"{stem} 2"

    results, faults = for_each_file([Path("a.wav"), Path("b.wav"), Path("c.wav")], work)
    assert results == {"a.wav": ["a 1", "a 2"], "b.wav": ["b 1"], "c.wav": ["c 1", "c 2"]}
    assert faults == ["b.wav: damaged"]


def test_files_that_differ_in_their_suffix_alone_keep_it():
    results, _ = for_each_file([Path("a.wav"), Path("a.flac")], lambda path, stem: [stem])
    assert results == {"a.wav": ["a.wav"], "a.flac": ["a.flac"]}


def test_a_name_too_long_to_write_is_one_line_and_other_faults_of_the_system_are_raised(tmp_path):
    def work(path: Path, stem: str) -> Iterator[str]:
        (tmp_path / f"{stem}_map.npz").write_bytes(b"")
        yield stem

    results, faults = for_each_file([Path(f"{'x' * 250}.wav"), Path("a.wav")], work, ", or give render=false")
    assert list(results) == ["a.wav"]
    assert len(faults) == 1 and "too long" in faults[0] and faults[0].endswith("rename it, or give render=false")
    with pytest.raises(FileNotFoundError):
        for_each_file([Path("a.wav")], lambda path, stem: [(tmp_path / "no/where").write_bytes(b"")])
