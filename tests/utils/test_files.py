"""A file is there whole, or as it was before; what is no file is told and never opened."""

import os
import socket
from pathlib import Path
from threading import Thread

import pytest

from src.utils.errors import UserError
from src.utils.files import open_atomic, path_text, require_content, shown_path, write_atomic


def test_a_file_is_replaced_and_its_directory_made(tmp_path):
    path = tmp_path / "a/b.json"
    write_atomic(path, b"old")
    write_atomic(path, memoryview(b"new"))
    assert path.read_bytes() == b"new" and list(path.parent.iterdir()) == [path]


def test_a_link_with_the_temporary_name_is_not_followed(tmp_path):
    """A directory may be a copy of somebody else's, links included."""
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / ".a.partial").symlink_to(tmp_path / "victim")
    write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_what_was_there_stays_when_writing_fails(tmp_path, monkeypatch, failing):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*arguments):
        assert b"half" in (tmp_path / ".a.partial").read_bytes() and path.read_bytes() == b"old"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else ("pathlib.Path.replace",)), fail)
    with pytest.raises(OSError, match="No space") as caught:
        write_atomic(path, b"half")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_two_writers_of_a_file_write_one_after_the_other(tmp_path):
    path = tmp_path / "a"
    second = Thread(target=write_atomic, args=(path, b"second"))
    with open_atomic(path) as file:
        file.write(b"first")
        second.start()
        second.join(0.2)
        assert second.is_alive() and not path.exists()
    second.join()
    assert path.read_bytes() == b"second" and list(tmp_path.iterdir()) == [path]


# files of strangers


def fault_of(path):
    with pytest.raises(UserError) as raised:
        require_content(path, "give another")
    message = str(raised.value)
    assert message.isprintable() and "\n" not in message
    return message


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file; give another"),
        (Path.mkdir, "a folder and not a file; give another"),
        (Path.touch, "0 bytes; give another"),
        (os.mkfifo, "a pipe and not a file"),
        (socket_at, "a socket and not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "a device and not a file"),
        (lambda path: path.symlink_to(path.with_name("gone")), "no such file"),
        (lambda path: path.symlink_to(path), "cannot be read (Too many levels of symbolic links)"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"),
    ],
    ids=["nothing", "folder", "empty", "pipe", "socket", "device", "dangling", "loop", "pointer"],
)
def test_what_is_no_file_with_contents_is_one_line_and_never_waited_for(tmp_path, make, words):
    make(tmp_path / "a")
    message = fault_of(tmp_path / "a")
    assert message.startswith(f"{tmp_path / 'a'}: ") and words in message


def test_a_file_with_contents_passes(tmp_path):
    for content in (b"x", b"version https://git-lfs", b"version https://example.org/spec/v1\n"):
        (tmp_path / "a").write_bytes(content)
        require_content(tmp_path / "a", "give another")


def test_a_path_of_another_encoding_is_printable_text():
    odd = Path(os.fsdecode(b"/d/caf\xe9\n\x1b[31m\\.wav"))
    assert path_text(odd) == r"/d/caf\xe9\n\x1b[31m\\.wav"
    assert path_text("a\u202eb") == r"a\u202eb" and path_text("é 音.wav") == "é 音.wav"


def test_paths_inside_the_working_directory_are_shown_relative_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "logs" / "run") == "logs/run"
    assert shown_path(tmp_path) == str(tmp_path)
    assert shown_path(f"{tmp_path}_other/run") == f"{tmp_path}_other/run"
    assert shown_path("s3://bucket/data") == "s3://bucket/data"
