"""A file is there whole, or as it was before."""

import os

import pytest

from src.utils.files import write_whole


def test_a_file_is_replaced_and_its_directory_made(tmp_path):
    path = tmp_path / "a/b.json"
    write_whole(path, b"old")
    write_whole(path, memoryview(b"new"))
    assert path.read_bytes() == b"new" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_what_was_there_stays_when_writing_fails(tmp_path, monkeypatch, failing):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*arguments):
        assert b"half" in (tmp_path / ".a.partial").read_bytes() and path.read_bytes() == b"old"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else ("pathlib.Path.replace",)), fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"half")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
