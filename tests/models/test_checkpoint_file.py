"""A checkpoint's file is tensors and plain values as torch saved them, or one line says what is wrong with it."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict

import pytest
import torch

from src.models.checkpoint_file import load_plain
from src.utils.errors import UserError
from tests.mutation.guard import CANARY, guarded

CONTENT = {"a": torch.arange(4.0), "b": {"c": [1, 2.5, None, True, "text"], "d": (1, 2)}}


def saved(content=CONTENT):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def entries_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(one.filename, archive.read(one)) for one in archive.infolist()]


def zipped(entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def with_pickle(pickled):
    """Return a whole archive whose pickle is another one."""
    return zipped([(name, pickled if name.endswith(".pkl") else data) for name, data in entries_of(saved())])


@pytest.fixture
def refusal(tmp_path):
    def of(content):
        path = tmp_path / "a.ckpt"
        path.write_bytes(content)
        with pytest.raises(UserError) as raised, guarded():
            load_plain(path)
        message = str(raised.value)
        assert message.startswith(f"ckpt_path: {path}") and message.isprintable()
        return message

    return of


@pytest.mark.parametrize(
    "content",
    [
        CONTENT,
        {"every dtype": [torch.zeros(2, dtype=one) for one in (torch.bool, torch.int8, torch.uint8, torch.float16)]},
        {"bfloat": torch.zeros(2, dtype=torch.bfloat16), "int": torch.zeros(2, dtype=torch.int64)},
        {"parameter": torch.nn.Parameter(torch.ones(2)), "ordered": OrderedDict(a=1), "long": 2**63},
        {
            "dtype": torch.float32,
            "weights": torch.nn.Linear(2, 2).state_dict(),
            "uint16": torch.zeros(2).to(torch.uint16),
        },
        {"shared": [torch.arange(6.0).reshape(2, 3).t()] * 2, "empty": torch.zeros(0), "deep": [[[[1]]]]},
    ],
)
def test_what_torch_saves_of_plain_values_is_read_as_torch_reads_it(tmp_path, content):
    (tmp_path / "a.ckpt").write_bytes(saved(content))
    assert str(load_plain(tmp_path / "a.ckpt")) == str(torch.load(io.BytesIO(saved(content)), weights_only=True))


def test_a_pointer_of_git_lfs_is_named(refusal):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 31337\n"
    assert "a Git LFS pointer" in refusal(pointer) and "git lfs pull" in refusal(pointer)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(2), "text", 3, None])
def test_anything_but_keys_and_values_is_refused(refusal, content):
    assert f"(a {type(content).__name__} instead of a dict)" in refusal(saved(content))


# archives


@pytest.mark.parametrize("size", [0, 1, 21, 22, 60, 98, 99, 500, -1, -22, -23, -98])
def test_a_part_of_a_file_is_refused(refusal, size):
    refusal(saved()[:size])


def test_a_file_of_the_format_before_zip_is_refused(refusal):
    buffer = io.BytesIO()
    torch.save(CONTENT, buffer, _use_new_zipfile_serialization=False)
    assert "not a zip file" in refusal(buffer.getvalue())


def test_a_compressed_archive_is_refused(refusal):
    bomb = zipped([*entries_of(saved()), ("archive/data/9", bytes(10**7))], zipfile.ZIP_DEFLATED)
    assert len(bomb) < 20_000
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "compressed or encrypted" in refusal(zipped(entries_of(saved()), compression))
    assert "compressed or encrypted" in refusal(bomb)


def directory_entries(content):
    """Yield where each entry of an archive's list begins."""
    at = content.index(b"PK\x01\x02")
    while content[at : at + 4] == b"PK\x01\x02":
        yield at
        at += 46 + sum(struct.unpack("<3H", content[at + 28 : at + 34]))


def test_an_encrypted_entry_is_refused(refusal):
    content = bytearray(zipped(entries_of(saved())))
    for at in directory_entries(bytes(content)):
        content[at + 8] |= 1
    assert "compressed or encrypted" in refusal(bytes(content))


def test_an_entry_that_torch_would_leave_unread_as_a_directory_is_refused(refusal):
    content = bytearray(saved())
    at = next(directory_entries(bytes(content)))
    content[at + 38] |= 0x10
    assert "marked as a directory" in refusal(bytes(content))


@pytest.mark.parametrize("size", [2**20, 2**31 - 1, 2**32 - 2])
@pytest.mark.parametrize("which", ["stored", "both"])
def test_an_entry_that_lies_about_its_size_is_refused_before_it_is_read(refusal, size, which):
    content = bytearray(zipped(entries_of(saved())))
    for at in directory_entries(bytes(content)):
        content[at + 24 : at + 28] = struct.pack("<I", size)
        if which == "both":
            content[at + 20 : at + 24] = struct.pack("<I", size)
    refusal(bytes(content))


def test_a_size_that_is_too_small_is_refused(refusal):
    content = bytearray(zipped(entries_of(saved())))
    at = next(directory_entries(bytes(content)))
    content[at + 24 : at + 28] = struct.pack("<I", 1)
    refusal(bytes(content))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["archive/data.pkl", "archive/DATA.PKL", "archive/data.PKL", "ARCHIVE/data.pkl"])
def test_two_entries_of_one_name_are_refused_whatever_their_case(refusal, name):
    other = dict(entries_of(saved({"other": 1})))["archive/data.pkl"]
    for content in ([*entries_of(saved()), (name, other)], [(name, other), *entries_of(saved())]):
        assert "two of its entries have the same name" in refusal(zipped(content))


@pytest.mark.parametrize("name", ["archive/more.pkl", "archive/constants.pkl", "archive/MORE.PKL", "x/data.pkl"])
def test_a_second_pickle_is_refused(refusal, name):
    assert "torch does not save such a file" in refusal(zipped([*entries_of(saved()), (name, b"N.")]))


def test_an_archive_without_a_pickle_is_refused(refusal):
    assert "torch does not save such a file" in refusal(zipped(entries_of(saved())[1:]))


def test_a_torchscript_archive_is_refused(refusal):
    entries = [(name.replace("data.pkl", "constants.pkl"), data) for name, data in entries_of(saved())]
    refusal(zipped(entries))


@pytest.mark.parametrize("name", ["archive/data/é", "archive/\u202e", "archive/data/0\0x"])
def test_names_that_two_readers_spell_differently_are_refused(refusal, name):
    placeholder = "archive/data/" + "#" * (len(name.encode()) - len("archive/data/"))
    content = zipped([*entries_of(saved()), (name if "\0" not in name else placeholder, b"x")])
    refusal(content.replace(placeholder.encode(), name.encode()))


def two_lists():
    """Return an archive in which torch finds other entries than Python: its end states another list than the last."""
    parts = []
    for entries in (entries_of(saved({"evil": torch.arange(4.0)})), entries_of(saved({"good": torch.arange(4.0)}))):
        content = zipped([(zipfile.ZipInfo(name), data) for name, data in entries])
        start = content.index(b"PK\x01\x02")
        end = content.index(b"PK\x05\x06")
        parts.append((content[:start], content[start:end], content[end:]))
    (evil, evil_list, _), (good, good_list, end) = parts
    moved = bytearray(good_list)
    for at in directory_entries(good_list):  # Python adds to each place what lies between the two lists
        place = struct.unpack("<I", good_list[at + 42 : at + 46])[0]
        moved[at + 42 : at + 46] = struct.pack("<i", place + len(evil) - len(good))
    stated = end[:12] + struct.pack("<II", len(evil_list), len(evil)) + end[20:]
    return evil + evil_list + good + bytes(moved) + stated


def test_a_file_that_torch_and_python_read_differently_is_refused(refusal):
    content = two_lists()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert b"good" in archive.read("archive/data.pkl")
    assert list(torch.load(io.BytesIO(content), weights_only=True)) == ["evil"]
    assert "torch does not save such a file" in refusal(content)


def test_bytes_before_and_after_an_archive_are_refused(refusal):
    for content in (b"#!/bin/sh\n" + saved(), saved() + b"\0", saved() + saved(), saved()[:-2] + b"\x03\0abc"):
        refusal(content)


@pytest.mark.parametrize("at", range(0, 1200, 41))
def test_one_flipped_byte_is_refused_or_changes_nothing(tmp_path, at):
    content = bytearray(saved())
    content[at % len(content)] ^= 0xFF
    (tmp_path / "a.ckpt").write_bytes(bytes(content))
    try:
        found = load_plain(tmp_path / "a.ckpt")
    except UserError:
        return
    assert str(found) == str(CONTENT)


# pickles


class Reduced:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def global_of(module, name, arguments=b")"):
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + arguments + b"R."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("builtins", "getattr"),
            ("builtins", "bytearray"),
        ),
        *(("torch", "load"), ("torch.hub", "load"), ("torch", "zeros"), ("torch._utils", "_rebuild_sparse_tensor")),
        *(("torch.serialization", "load"), ("numpy", "load"), ("numpy._core.multiarray", "_reconstruct")),
        *(("collections", "deque"), ("collections", "defaultdict"), ("builtins", "set"), ("torch", "Size")),
        *(("collections", "Counter"), ("src.models.build", "load_checkpoint")),
        *((CANARY, "call"), (CANARY, "Network"), ("torch", "Tensor.numpy"), ("torch.storage", "_load_from_bytes")),
        *(("", ""), ("torch", ""), ("a\tb", "c"), ("collections OrderedDict", "x"), ("é", "é")),
    ],
)
def test_a_pickle_that_names_anything_else_is_refused(refusal, module, name):
    message = refusal(with_pickle(global_of(module, name)))
    assert "which is not a tensor or plain value" in message or "ascii" in message


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_call_is_refused_in_every_protocol(refusal, protocol):
    refusal(with_pickle(pickle.dumps({"a": Reduced(print, "called")}, protocol)))


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",  # STACK_GLOBAL
        b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R.",  # of what is allowed, too
        b"(S'true'\nios\nsystem\n.",  # INST
        b"\x80\x02(cos\nsystem\nX\x04\x00\x00\x00trueo.",  # OBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85\x81.",  # NEWOBJ
    ],
)
def test_other_ways_to_name_code_are_refused(refusal, pickled):
    assert "which is not a tensor or plain value" in refusal(with_pickle(pickled))


@pytest.mark.parametrize(
    "pickled",
    [
        *(
            b"",
            b".",
            b"\x80\x02",
            b"\x80\x02]q\x00h\x00a",
            b"\x80\xff.",
            b"\x80\x02h\x07.",
            b"\x80\x02X\xff\xff\xff\x7f",
        ),
        *(b"\x80\x02\x8b\xff\xff\xff\x7f.", b"\x80\x02" + b"(" * 100_000 + b".", b"\x80\x02N0N0N0."),
        b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
        b"\x80\x02ctorch.storage\nUntypedStorage\n\x8a\x06\x00\x00\x00\x00\x00\x40\x85R.",  # of 70 TB
        b"\x80\x02}X\x01\x00\x00\x00a\x85Q.",  # a persistent id
    ],
    ids=range(13),
)
def test_a_damaged_or_swollen_pickle_is_one_line(refusal, pickled):
    refusal(with_pickle(pickled))


ORDERED, STORAGE = b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n"
PLACE = b"(X\7\0\0\0storage" + STORAGE + b"X\1\0\0\0%bX\3\0\0\0cpuK\4tQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n(" + PLACE % b"0" + b"K\0%b\x89" + ORDERED + b")RtR."
PAIRED = b"q\1" + b"h\1h\1\x86q\1" * 60  # 2**60 values


@pytest.mark.parametrize(
    "pickled",
    [
        ORDERED + b"q\0](K\1K\1\x86eq\1h\0h\1\x85R",  # a copy of a list
        ORDERED + b")Rq\0}q\1h\0h\1b",  # a copy of a dict
        ORDERED + b")RK\1\x85b",
        b"ctorch.storage\nUntypedStorage\nJ\xff\xff\xff\x7f\x85R",  # not from the file
        b"ctorch\nfloat32\n)R",
        b"})K\1s",  # a key of numbers whose hash can be chosen
        b"}(K\1K\1\x86K\1u",
        b"}\x8a\x09" + b"\xff" * 8 + b"\x7fK\1s",  # a key of more than 64 bits
        b"(" + b"K\1" * 65 + b"t",
        REBUILD[:-1] % b"](K\1e](K\1e",  # sizes of any number
        b"(X\7\0\0\0storage" + STORAGE + b"K\0X\3\0\0\0cpuK\4tQ",  # a storage by another spelling
        b"K\1" + PAIRED + b"Q",
        b"K\1" + PAIRED + b")R",
    ],
    ids=range(13),
)
def test_what_makes_a_small_pickle_expensive_is_refused(refusal, pickled):
    assert "torch does not save such a file; use a file from a source" in refusal(
        with_pickle(b"\x80\x02" + pickled + b".")
    )


def test_a_pickle_has_few_values_for_each_tensor(refusal):
    for values in (b"}" * 110_000, b"](" + b"N" * 110_000 + b"e"):
        assert "too many values for the number of its tensors; use a file" in refusal(
            with_pickle(b"\x80\x02" + values + b".")
        )
    assert "more than a network's weights" in refusal(with_pickle(b"N" * (2**22 + 1)))


def test_the_entries_have_the_names_that_torch_gives_them(refusal):
    for name in ("archive/data/a", "archive/data/0/1", "archive/more", "data/0"):
        assert "torch does not save such a file" in refusal(zipped([*entries_of(saved()), (name, b"x")]))


def test_a_tensor_of_more_numbers_than_its_file_holds_is_refused(refusal):
    pickled = dict(entries_of(saved()))["archive/data.pkl"]
    assert pickled.count(b"K\x04") >= 1
    refusal(with_pickle(pickled.replace(b"K\x04", b"K\x7f")))
