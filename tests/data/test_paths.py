"""Datasets at URLs: the files of a local run, seen whole or not at all, and read from a verified local copy.

`local://` is the local disk as fsspec sees it: here, and only here, a store like any other.
"""

import errno
import gzip
import re
import sys
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pytest

from src.data import paths, publish
from src.data.fetch import fetch
from src.data.generate import generate
from src.data.info import INFO_FILE
from src.data.paths import RemotePath, to_location
from src.data.shards import make_shard, merge_shards
from src.data.source import Source
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from tests.data.conftest import tiny_config, tiny_recipe
from tests.data.references import snapshot, write_ancestor
from tests.data.vimh.test_writer import full_disk


@pytest.fixture(autouse=True)
def local_disk_as_a_store(monkeypatch):
    monkeypatch.setattr(paths, "SCHEMES", paths.SCHEMES | {"local"})


@pytest.fixture(params=["memory", "local"])
def place(request, tmp_path):
    """An output directory at a URL, with nothing there yet."""
    url = {"memory": f"memory://{tmp_path.name}", "local": f"local://{tmp_path}/remote"}[request.param]
    yield to_location(url, tmp_path / "cache")
    filesystem, path = fsspec.url_to_fs(url)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def left_in(cache):
    return list(cache.iterdir()) if cache.exists() else []


def test_what_is_local_is_a_path():
    assert to_location("data/x") == Path("data/x") and to_location(Path("s3://x")) == Path("s3:/x")
    assert to_location("file:///tmp/a%20b") == Path("/tmp/a b")


def test_a_local_path_does_not_wait_for_fsspec(tiny, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "fsspec"]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    assert len(VIMHDataset(tiny)) == 120
    assert contents(generate(tiny_recipe(), to_location(f"file://{tmp_path}"), pickle=True)[0]) == contents(tiny)
    with pytest.raises(ImportError):
        to_location("memory://x")


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        (
            "nowhere://x",
            r"^'nowhere://x': scheme 'nowhere' is not supported; give a path, or a URL with one of .* s3, .*$",
        ),
        ("s3://bucket/data", r"^s3://bucket/data: s3fs is not installed; install it with: uv pip install s3fs$"),
        ("gs://bucket/data", r"^gs://bucket/data: gcsfs is not installed; install it with: uv pip install gcsfs$"),
    ],
)
def test_a_file_system_that_is_not_there_is_one_line(url, fault, monkeypatch):
    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=fault):
        to_location(url)


ODD = [
    *("local:///etc", "reference://x", "python://x", "github://me:it@sha/x", "data://,x", "zip://a.zip", "dir://x"),
    *("simplecache://x", "asynclocal:///x", "jupyter://h/x", "git://x", "://x", "a://b://c", "S3://bucket/x"),
    *("simplecache::s3://b/x", "reference::memory://x", "memory://x::memory://y", "zip://a::file:///tmp/b"),
    *("s3://", "s3:///", "memory://..", "memory://a/../b", "memory://a/./b", "http://[::1]/x", "http://a\x00b/x"),
    *("memory://a\x1b[31m", "s3://\udc80/x", "s3://" + "a" * 200_000, "s3://b/" + "a" * 300, "file:///tmp/%00"),
]


@pytest.mark.parametrize("url", ODD, ids=lambda url: url[:20])
def test_an_odd_url_is_one_line_and_nothing_is_opened(url, monkeypatch):
    monkeypatch.undo()  # local:// too is odd
    monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: pytest.fail("opened"))
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(UserError) as raised:
        to_location(url)
    assert str(raised.value).isprintable() and len(str(raised.value)) < 400


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://a b/x", "http://127.0.0.1:99999/x", "http://h/%zz"])
def test_an_address_where_nothing_is_holds_no_dataset(url, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", refuse_names)
    with pytest.raises(UserError, match=r"holds no vimh_dataset_info\.json|cannot be reached|does not support this"):
        fetch(to_location(url, tmp_path))


def test_a_store_that_does_not_tell_a_size_is_one_line(place, monkeypatch):
    made, _ = generate(tiny_recipe(), place)
    monkeypatch.setattr(type(made._connect()[0]), "size", lambda *_: None)
    with pytest.raises(UserError, match=r"does not report the file's size; copy it to a disk first$"):
        fetch(made)


@pytest.mark.parametrize(("stated", "fault"), [(9, "more than the 9 bytes it states"), (10**6, "of 1000000 bytes")])
def test_what_has_another_size_than_stated_is_refused(place, tmp_path, monkeypatch, stated, fault):
    made, _ = generate(tiny_recipe(), place)
    size = RemotePath.size
    monkeypatch.setattr(RemotePath, "size", lambda file: stated if file.name == "val" else size(file))
    with pytest.raises(UserError, match=f"/tiny/val: its store sends .*{fault}"):
        fetch(made)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_description_that_is_too_large_is_not_downloaded(place, monkeypatch):
    made, _ = generate(tiny_recipe(), place)
    monkeypatch.setattr(RemotePath, "size", lambda _: 2**21 + 1)
    with pytest.raises(UserError, match="2097153 bytes is too large, the maximum is 2097152"):
        fetch(made)


class Compressed(BaseHTTPRequestHandler):
    """Sends 32 MiB of spaces as 32 kB, and states 9,000 bytes or no number."""

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "9000")
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(gzip.compress(b" " * 2**25))

    def log_message(self, *_):
        pass


def test_a_response_that_is_compressed_does_not_fill_the_memory(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Compressed) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        place = to_location(f"http://127.0.0.1:{server.server_port}/x", tmp_path)
        with pytest.raises(UserError, match=f"{INFO_FILE}: its store sends more than the 9000 bytes it states"):
            fetch(place)
        server.shutdown()


def refuse_names(host, *rest, **more):
    raise OSError(f"no network in tests: {host}")


def test_a_dataset_at_a_url_has_the_files_of_a_local_one(tiny, place, tmp_path):
    made, spec = generate(tiny_recipe(), place, pickle=True)
    assert contents(made) == contents(tiny) and str(made) == f"{place}/tiny" and spec.name == "tiny"
    assert left_in(tmp_path / "cache") == []
    with pytest.raises(UserError, match=r"/tiny: already exists and was not changed; give overwrite=true"):
        generate(tiny_recipe(), place)
    generate(tiny_recipe(**{"dataset.seed": 1}), place, overwrite=True)
    assert set(contents(made)) == {*contents(tiny)} - {"train_batch", "val_batch", "test_batch"}
    assert contents(made)["train"] != contents(tiny)["train"]


def test_it_is_copied_once_verified_and_read_as_a_local_one(tiny, place, monkeypatch):
    made, _ = generate(tiny_recipe(), place)
    copy = fetch(made)
    assert contents(copy) == contents(made) and copy.name == "tiny"
    before = snapshot(copy)
    monkeypatch.setattr("src.data.fetch._copy", lambda *_: pytest.fail("fetched again"))
    assert fetch(made) == copy and len(VIMHDataset(copy, "train", verify=True)) == 120
    data = VIMHDataModule(made.url, cache_dir=made.cache_dir, batch_size=16)
    assert data.spec.name == "tiny" and data.data_dir == copy
    data.setup()
    (local := VIMHDataModule(tiny, batch_size=16)).setup()
    ours, theirs = (next(iter(module.val_dataloader())) for module in (data, local))
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert snapshot(copy) == before


def test_another_dataset_of_the_same_name_is_another_copy(place):
    made, _ = generate(tiny_recipe(), place)
    first = fetch(made)
    generate(tiny_recipe(**{"dataset.seed": 1}), place, overwrite=True)
    assert fetch(made) != first and contents(fetch(made)) == contents(made) != contents(first)


def test_an_older_programs_dataset_without_checksums_is_copied_too(place, tmp_path, caplog):
    write_ancestor(tmp_path / "old")
    for path in (tmp_path / "old").iterdir():
        (place / "old" / path.name).upload(path)
    assert contents(fetch(place / "old")) == contents(tmp_path / "old")
    assert "the JSON holds no checksum, so it was not verified" in caplog.text


@pytest.mark.parametrize("damage", ["flip", "cut", "description", "nothing"])
def test_what_is_not_as_described_leaves_no_copy(place, tmp_path, damage):
    made, _ = generate(tiny_recipe(), place)
    name = {"description": INFO_FILE, "nothing": INFO_FILE}.get(damage, "val")
    content = (made / name).read_bytes()
    (tmp_path / "damaged").write_bytes(content[:-1] + b"?" * (damage == "flip"))
    (made / name).unlink()
    if damage != "nothing":
        (made / name).upload(tmp_path / "damaged")
    if damage == "description":
        (tmp_path / "damaged").write_bytes(content[:100])
        (made / name).upload(tmp_path / "damaged")
    fault = {"description": "not JSON", "nothing": f"holds no {INFO_FILE}"}.get(damage, "/tiny/val: sha256 .* expected")
    with pytest.raises(UserError, match=fault) as error:
        fetch(made)
    assert "\n" not in str(error.value) and str(made) in str(error.value)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["val", "train_params.npy"])
def test_an_upload_that_is_under_way_is_not_copied(place, tmp_path, name):
    made, _ = generate(tiny_recipe(), place)
    (tmp_path / "late").write_bytes((made / name).read_bytes())
    (made / name).unlink()
    with pytest.raises(UserError, match=f"/tiny: lacks {name}, which its {INFO_FILE} names; upload it again$"):
        VIMHDataModule(made.url, cache_dir=made.cache_dir).setup()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    (made / name).upload(tmp_path / "late")
    assert contents(fetch(made)) == contents(made)


def test_nor_is_one_whose_description_holds_counts_alone(place, tmp_path):
    write_ancestor(tmp_path / "old")
    for name in ("train", INFO_FILE):
        (place / "old" / name).upload(tmp_path / "old" / name)
    with pytest.raises(UserError, match=f"/old: lacks test, which its {INFO_FILE} names"):
        fetch(place / "old")


def test_a_pickle_twin_is_copied_where_there_are_no_records_and_only_there(place):
    made, _ = generate(tiny_recipe(), place, pickle=True)
    (made / "train").unlink()
    copy = fetch(made)
    assert {*contents(made)} - {*contents(copy)} == {"val_batch", "test_batch"}
    assert len(VIMHDataset(copy, "train", verify=True)) == 120


def test_two_copies_at_once_where_there_are_no_locks_are_one(place, monkeypatch):
    made, _ = generate(tiny_recipe(), place)
    monkeypatch.setattr("src.data.fetch.locked", lambda path: nullcontext())
    download = RemotePath.download

    def race(source, target, size):
        if source.name != INFO_FILE:
            monkeypatch.setattr(RemotePath, "download", download)
            fetch(made)  # another process, that is faster
        download(source, target, size)

    monkeypatch.setattr(RemotePath, "download", race)
    copy = fetch(made)
    assert contents(copy) == contents(made) and list(copy.parent.iterdir()) == [copy]


@pytest.mark.parametrize("error", [PermissionError("Forbidden"), ConnectionRefusedError("refused")], ids=repr)
@pytest.mark.parametrize("method", ["info", "put_file"])
def test_a_store_that_lets_nobody_in_is_one_line_before_any_work(place, tmp_path, monkeypatch, method, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(type(place._connect()[0]), method, refuse)
    monkeypatch.setattr(Source, "block", lambda *_: pytest.fail("rendered first"))
    with pytest.raises(
        UserError, match=rf"://.*tiny.*: cannot be reached \({error}\); check your credentials"
    ) as found:
        generate(tiny_recipe(), place)
    assert "\n" not in str(found.value) and left_in(tmp_path / "cache") == []


def test_a_place_at_a_url_that_cannot_be_written_is_one_line_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file")
    monkeypatch.setattr(Source, "block", lambda *_: pytest.fail("rendered first"))
    with pytest.raises(UserError, match=r"^local://.*/file: cannot be written \(.*\); choose another directory$"):
        generate(tiny_recipe(), to_location(f"local://{tmp_path}/file", tmp_path / "cache"))
    assert left_in(tmp_path / "cache") == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "connection lost")], ids=repr)
@pytest.mark.parametrize("after", [1, 4, 7])  # the first is a probe
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_upload_that_ends_early_is_never_seen_as_a_dataset(
    tiny, place, monkeypatch, tmp_path, error, after, overwrite
):
    if overwrite:
        generate(tiny_recipe(**{"dataset.seed": 1}), place)
    upload, calls = RemotePath.upload, []

    def fail(target, source):
        calls.append(target.name)
        if len(calls) > after:
            raise error
        upload(target, source)

    monkeypatch.setattr(RemotePath, "upload", fail)
    with pytest.raises(UserError if isinstance(error, OSError) else type(error)) as found:
        generate(tiny_recipe(), place, overwrite)
    assert isinstance(error, KeyboardInterrupt) or re.search(
        r"://.*/tiny: could not be uploaded \(.*connection lost\); run the same command again", str(found.value)
    )
    monkeypatch.undo()
    with pytest.raises(UserError, match=f"holds no {INFO_FILE}"):
        fetch(place / "tiny")
    assert left_in(tmp_path / "cache") == []
    made, _ = generate(tiny_recipe(), place)
    whole = {name: content for name, content in contents(tiny).items() if "batch" not in name}
    assert {name: content for name, content in contents(made).items() if name != INFO_FILE} == {
        name: content for name, content in whole.items() if name != INFO_FILE
    }


def test_a_full_disk_on_the_way_to_a_url_is_named(place, tmp_path, monkeypatch):
    full_disk(monkeypatch, "train")
    with pytest.raises(
        UserError, match=rf"^{tmp_path}/cache, for {place}/tiny: the disk is full, .*; free some space$"
    ):
        generate(tiny_recipe(), place)


def test_a_file_whose_upload_is_cut_off_is_not_seen(tiny, place, tmp_path, monkeypatch):
    """Another run may have uploaded the same one, and be done."""
    made, _ = generate(tiny_recipe(), place)
    kind = type(place._connect()[0])
    put_file = kind.put_file

    def cut(filesystem, source, target, **more):
        (tmp_path / "half").write_bytes(Path(source).read_bytes()[:100])
        put_file(filesystem, str(tmp_path / "half"), target, **more)
        raise OSError(errno.EIO, "connection lost")

    monkeypatch.setattr(kind, "put_file", cut)
    with pytest.raises(OSError, match="connection lost"):
        (made / "train").upload(tiny / "train")
    monkeypatch.undo()
    assert (made / "train").read_bytes() == (tiny / "train").read_bytes()
    (made / "train").upload(tiny / "val")
    assert (made / "train").read_bytes() == (tiny / "val").read_bytes()
    made, _ = generate(tiny_recipe(), place, overwrite=True)  # removes what was cut off
    assert {*contents(made)} == {name for name in contents(tiny) if "batch" not in name}


def test_of_two_uploads_at_once_the_first_to_end_stays(place, monkeypatch):
    upload = RemotePath.upload

    def race(target, source):
        if target.name == "val":
            monkeypatch.undo()
            generate(tiny_recipe(), place)  # another run, that is faster
        upload(target, source)

    monkeypatch.setattr(RemotePath, "upload", race)
    with pytest.raises(UserError, match="/tiny: another run has created it in the meantime, and its files are kept"):
        generate(tiny_recipe(), place)
    assert contents(fetch(place / "tiny")) == contents(place / "tiny")


def test_of_two_different_ones_the_slower_replaces_nothing(place, monkeypatch):
    real = publish._upload

    def late(*arguments):
        monkeypatch.undo()
        generate(tiny_recipe(**{"dataset.seed": 1}), place)
        real(*arguments)

    monkeypatch.setattr(publish, "_upload", late)
    with pytest.raises(UserError, match="another run has created it in the meantime, and its files are kept"):
        generate(tiny_recipe(), place)
    assert contents(fetch(place / "tiny")) == contents(place / "tiny")


def test_an_upload_that_ends_early_leaves_another_runs_dataset(place, monkeypatch):
    """The other one ends when this one has seen that it had not, and this one's last file never arrives."""
    iterdir = RemotePath.iterdir

    def race(target):
        monkeypatch.undo()
        generate(tiny_recipe(), place)
        monkeypatch.setattr(RemotePath, "upload", fail)
        return iterdir(target)

    def fail(*_):
        raise OSError(errno.EIO, "connection lost")

    monkeypatch.setattr(RemotePath, "iterdir", race)
    with pytest.raises(UserError, match="could not be uploaded"):
        generate(tiny_recipe(), place)
    assert contents(fetch(place / "tiny")) == contents(place / "tiny")


def test_a_probe_that_another_run_has_removed_is_no_fault(place, monkeypatch):
    upload = RemotePath.upload

    def race(target, source):
        upload(target, source)
        if target.name == ".writable":
            target.unlink()

    monkeypatch.setattr(RemotePath, "upload", race)
    assert (generate(tiny_recipe(), place)[0] / INFO_FILE).is_file()


def test_a_recipe_makes_its_dataset_at_a_url_root(place, tmp_path):
    cached = {"recipe": tiny_config(), "root": place.url, "cache_dir": place.cache_dir}
    data = VIMHDataModule(**cached)
    assert data.spec.name == "tiny" and (place / "tiny" / "train").is_file()
    assert contents(data.data_dir) == contents(place / "tiny")
    again = VIMHDataModule(**cached)
    assert again.spec == data.spec and again.data_dir == data.data_dir
    with pytest.raises(UserError, match=r"was generated with dataset.seed = 0, but 1 is given"):
        VIMHDataModule(**cached | {"recipe": tiny_config(**{"dataset.seed": 1})}).prepare_data()


@pytest.mark.parametrize("keep", [True, False])
def test_shards_at_a_url_merge_into_the_single_runs_files(tiny, place, keep):
    for shard in (2, 0, 1):
        make_shard(tiny_recipe(), place, shard, 3)
    part = place / "tiny.shards" / "1-of-3"
    (part / "records").unlink()
    with pytest.raises(UserError, match="1-of-3: its files are damaged"):
        merge_shards(tiny_recipe(), place, 3)
    assert not (place / "tiny" / INFO_FILE).is_file()
    make_shard(tiny_recipe(), place, 1, 3)
    (place / "tiny.shards" / "2-of-3" / "shard.json").unlink()
    with pytest.raises(UserError, match=r"tiny.shards: 1 of 3 shards are missing; make them: .* shard=2$"):
        merge_shards(tiny_recipe(), place, 3)
    make_shard(tiny_recipe(), place, 2, 3)
    merged, _ = merge_shards(tiny_recipe(), place, 3, pickle=True, keep=keep)
    assert contents(merged) == contents(tiny)
    assert (part / "records").is_file() is keep
