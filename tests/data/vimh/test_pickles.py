"""Pickle twins: the ancestor's are read, ours are read by plain pickle, and nothing in a file is ever executed."""

import io
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from src.data.info import read_spec
from src.data.plain_pickle import load_plain_pickle
from src.data.vimh.pickles import read_pickle, write_pickle
from src.data.vimh.reader import open_split
from src.utils.errors import UserError
from tests.data.references import write_ancestor

SHAPE = (2, 3, 4)
MARKER = "executed"


def content_of(count=5, ids=(0, 1), shape=SHAPE):
    """Return the ancestor's dict, its images and its codes."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, *shape), np.uint8)
    codes = generator.integers(0, 256, (count, len(ids)), np.uint8)
    labels = [[len(ids), *(int(value) for one in ids for value in (one, code[one]))] for code in codes]
    channels, height, width = shape
    content = {"data": images.reshape(count, -1), "vimh_labels": labels, "height": height, "width": width}
    content |= {"channels": channels, "image_size": images[0].size}
    return content, images, codes


def dump(path, content, protocol=4):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol))
    return path


def assert_holds(records, images, codes, scale=None):
    got = records.gather(np.arange(len(records)))
    np.testing.assert_array_equal(got[0], images)
    np.testing.assert_array_equal(got[1], codes)
    np.testing.assert_array_equal(got[2], np.zeros((len(codes), 2)) if scale is None else scale)


def refused(path, *parts):
    with pytest.raises(UserError) as error:
        read_pickle(path, SHAPE, 2)
    text = str(error.value)
    assert all(str(part) in text for part in (path, *parts)), text
    assert "\n" not in text and len(text) < 600


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("key", ["vimh_labels", "labels", "multihead_labels"])
def test_the_ancestors_twins_of_every_protocol(tmp_path, protocol, key):
    content, images, codes = content_of()
    content[key] = content.pop("vimh_labels")
    content["scale_factors"] = np.tile(np.float32([-60, -3]), (5, 1))
    records = read_pickle(dump(tmp_path / "b", content, protocol), SHAPE, 2)
    assert_holds(records, images, codes, content["scale_factors"])


@pytest.mark.parametrize(
    "change",
    [
        lambda content: {"vimh_labels": np.array(content["vimh_labels"])},
        lambda content: {"vimh_labels": [np.uint8(row) for row in content["vimh_labels"]]},
        lambda content: {"vimh_labels": [tuple(map(np.int64, row)) for row in content["vimh_labels"]]},
        lambda content: {"vimh_labels": np.array(content["vimh_labels"], np.float64)},
        lambda content: {"data": list(content["data"])},
        lambda content: {"data": content["data"].tolist()},
        lambda content: {"data": np.asfortranarray(content["data"])},
        lambda content: {"data": content["data"].reshape(-1, *SHAPE)},
        lambda content: {"data": content["data"].astype(">i4")},
        lambda content: {"scale_factors": None, "more": {"nested": [1, (2.5, b"x", None, True)]}},
    ],
)
@pytest.mark.parametrize("protocol", [0, 4, 5])
def test_other_plain_forms_of_the_same(tmp_path, change, protocol):
    content, images, codes = content_of()
    assert_holds(read_pickle(dump(tmp_path / "b", content | change(content), protocol), SHAPE, 2), images, codes)


def test_scale_factors_as_pairs_of_numpy_scalars(tmp_path):
    content, images, codes = content_of()
    content["scale_factors"] = [(np.float32(-60), np.float32(row)) for row in range(5)]
    expected = [[-60, row] for row in range(5)]
    assert_holds(read_pickle(dump(tmp_path / "b", content), SHAPE, 2), images, codes, expected)


def test_permuted_ids(tmp_path):
    content, images, codes = content_of(ids=(1, 0))
    assert_holds(read_pickle(dump(tmp_path / "b", content), SHAPE, 2), images, codes)


def test_multi_channel_data_is_planar(tmp_path):
    content, _, _ = content_of(1)
    content["data"] = np.arange(24, dtype=np.uint8)[None]
    images = read_pickle(dump(tmp_path / "b", content), SHAPE, 2).gather(np.array([0]))[0]
    assert images[0, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert images[0, 1, 0].tolist() == [12, 13, 14, 15]


def test_a_dataset_of_twins_alone_opens(tmp_path):
    written = write_ancestor(tmp_path / "d", shape=SHAPE)
    for split, (images, codes) in written.items():
        (tmp_path / "d" / split).unlink()
        labels = [[2, 0, int(a), 1, int(b)] for a, b in codes]
        dump(tmp_path / "d" / f"{split}_batch", {"data": images.reshape(len(images), -1), "multihead_labels": labels})
        assert_holds(open_split(tmp_path / "d", split, read_spec(tmp_path / "d")), images, codes)


def test_our_twins_are_plain_pickles_of_the_binary_records(tiny):
    """Loaded by pickle itself, as an older program would, and compared with the record bytes."""
    content = pickle.loads((tiny / "train_batch").read_bytes())
    rows = np.frombuffer((tiny / "train").read_bytes(), np.uint8).reshape(120, -1)
    assert (content["height"], content["width"], content["channels"], content["image_size"]) == (8, 6, 1, 48)
    np.testing.assert_array_equal(content["data"], rows[:, 19:])
    np.testing.assert_array_equal(content["vimh_labels"], rows[:, 14:19])
    np.testing.assert_array_equal(content["scale_factors"], np.tile([-80, 0], (120, 1)))


def test_round_trip(tiny, tmp_path):
    spec = read_spec(tiny)
    records = open_split(tiny, "val", spec)
    write_pickle(tmp_path / "twin", records)
    assert_holds(read_pickle(tmp_path / "twin", spec.image_shape, 2), *records.gather(np.arange(15)))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"height": 4}, ["height 4 found, 3 expected"]),
        ({"channels": [1]}, ["channels a list found"]),
        ({"width": np.zeros(3)}, ["width", "4 expected"]),
        ({"data": np.zeros((5, 23), np.uint8)}, ["data (5, 23) found, (n, 24) expected"]),
        ({"data": np.zeros((0, 24), np.uint8)}, ["data"]),
        ({"data": np.full((5, 24), 256)}, ["data holds values outside 0..255"]),
        ({"data": np.full((5, 24), -1.0)}, ["data holds values outside 0..255"]),
        ({"data": np.full((5, 24), np.nan)}, ["data holds values outside 0..255"]),
        ({"data": np.zeros((5, 24), complex)}, ["dtype"]),
        ({"data": "text"}, ["data is not an array of numbers"]),
        ({"data": None}, ["data is not an array of numbers"]),
        ({"data": [[1, 2], [3]]}, ["data is not an array of numbers"]),
        ({"vimh_labels": [[2, 0, 1, 1, 1]] * 4}, ["labels (4, 5) found, (5, 5) expected"]),
        ({"vimh_labels": [[3, 0, 1, 1, 1]] * 5}, ["[2, id, value, ...]"]),
        ({"vimh_labels": [[2, 0, 1, 0, 1]] * 5}, ["[2, id, value, ...]"]),
        ({"vimh_labels": [[2, 0, 1, 9, 1]] * 5}, ["[2, id, value, ...]"]),
        ({"vimh_labels": [[2, 0, 1, 1, 0.5]] * 5}, ["labels holds values outside"]),
        ({"vimh_labels": [[2, 0, 1, 1, 2**70]] * 5}, ["labels is not an array"]),
        ({"scale_factors": [[0, 1]] * 4}, ["scale_factors must be 5 finite pairs"]),
        ({"scale_factors": [[0, np.inf]] * 5}, ["scale_factors must be 5 finite pairs"]),
        ({"scale_factors": [[1, 0]] * 5}, ["scale_factors must be 5 finite pairs"]),
    ],
)
def test_a_fault_names_the_key(tmp_path, change, parts):
    refused(dump(tmp_path / "b", content_of()[0] | change), *parts)


def test_missing_keys(tmp_path):
    content, _, _ = content_of()
    refused(dump(tmp_path / "b", {**content, "vimh_labels": 0, "data": 0}), "data")
    refused(dump(tmp_path / "b", {"data": content["data"]}), "no key vimh_labels or labels or multihead_labels")
    refused(dump(tmp_path / "b", {}), "no key data")
    refused(dump(tmp_path / "b", [content]), "a list found, a dict expected")


class Call:
    """Pickles as a call of any function; `Call(os.system, "...")` is the classic attack."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(marker):
    touch = f"open({str(marker)!r}, 'w').close()"
    nested = b"\x80\x04\x8c\x03src\x8c\x14data.plain_pickle.io\x93."  # a dotted name, resolved by attributes
    return {
        "os.system": Call(os.system, f"touch {marker}"),
        "eval": Call(eval, touch),
        "exec": Call(exec, touch),
        "subprocess": Call(subprocess.check_call, ["touch", str(marker)]),
        "getattr": Call(getattr, "x", "upper"),
        "inside data": {"data": [Call(eval, touch)]},
        "object array": {"data": np.array([Call(eval, touch), None])},
        "object array of none": {"data": np.array([None, None])},
        "structured array": {"data": np.zeros(3, [("a", "O"), ("b", "u1")])},
        "datetime array": {"data": np.zeros(3, "M8[s]")},
        "subclass": {"data": np.ma.zeros(3)},
        "a path": {"data": Path("x")},
        "nested global": nested,
        "protocol 0 global": b"cposix\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.",
        "numpy's own loader": Call(np.load, str(marker)),
        "numpy's fromfile": Call(np.fromfile, str(marker)),
        "INST": b"(S'touch " + str(marker).encode() + b"'\niposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nS'touch " + str(marker).encode() + b"'\no.",
        "NEWOBJ": b"\x80\x02cposix\nsystem\n)\x81.",
        "EXT1": b"\x80\x02\x82\x01.",
        "PERSID": b"Pname\n.",
        "BUILD on a list": b"]}b.",
        "REDUCE of text": b"\x8c\x0bnumpy.dtype\x8c\x02u1\x85R.",
    }


@pytest.mark.parametrize("name", attacks("x"))
def test_an_attack_is_refused_and_never_executed(tmp_path, name):
    marker = tmp_path / MARKER
    refused(dump(tmp_path / "b", attacks(marker)[name]), "not a plain pickle")
    assert not marker.exists()


def test_the_attacks_do_work_where_pickle_loads_them(tmp_path):
    """So that the test above means something."""
    pickle.loads(pickle.dumps(attacks(tmp_path / MARKER)["eval"]))
    assert (tmp_path / MARKER).exists()


def test_a_damaged_dtype_cannot_reach_numpys_flags(tmp_path):
    """The last number of a pickled dtype's state is its C flags; 1 makes numpy count references in pixels."""
    raw = pickle.dumps({"data": np.zeros((5, 24), np.uint8)}, protocol=4)
    at = raw.rindex(b"K\x00t")
    for flags in (1, 3, 63, 255):
        data = load_plain_pickle(dump(tmp_path / "b", raw[: at + 1] + bytes([flags]) + raw[at + 2 :]), "")["data"]
        assert np.asarray(data).astype(np.uint8).sum() == 0


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04Nr\x00\x00\x00\x70.",  # a memo of 2^31 entries
        b"\x80\x04\x8e" + b"\xff" * 5 + b"\0\0\0.",  # a terabyte of bytes
        b"\x80\x05\x96" + b"\xff" * 5 + b"\0\0\0.",
        b"\x80\x04\x95" + b"\xff" * 5 + b"\0\0\0.",
        b"\x80\x04}N" + b"\x85" * 500_000 + b"Ns.",  # a key of half a million nested tuples
        b"\x80\x04}\x8c\x04data" + b"]" * 100_000 + b"a" * 99_999 + b"s.",
        b"\x80\x04}\x8c\x04data]\x94h\x00as.",  # a list that holds itself
        pickle.dumps({"data": [[[[[[[[[0] * 99] * 99] * 99] * 99] * 99] * 99] * 99] * 99]}),
        pickle.dumps({"data": [np.zeros((5, 24), np.uint8)] * 1_000_000}),
        pickle.dumps({"data": ["x" * 100_000] * 100_000}),
        pickle.dumps({"data": [np.zeros((5, 24), np.float64), b"x" * 100_000] * 10_000}),
        pickle.dumps({"data": 10**4000}),
        b"I" + b"1" * 100_000 + b"\n.",
    ],
    ids=range(13),
)
def test_bombs_are_refused_without_allocating(tmp_path, one_gigabyte, content):
    refused(dump(tmp_path / "b", content))


@pytest.mark.parametrize(
    "content", [b"", b".", b"\x80", b"hello", bytes(100), b"\x89PNG\r\n\x1a\n", b"(((", b"\x80\x04K"]
)
def test_what_is_no_pickle(tmp_path, content):
    refused(dump(tmp_path / "b", content), "not a plain pickle")


def test_values_match_pickles_own_for_plain_containers(tmp_path):
    plain = {
        "a": [1, -1, 2**40, 2**80, -(2**80), 1.5, "text", "ü", b"bytes", None, True, False],
        "b": {"c": ((), (1,), [])},
    }
    plain["again"] = plain["a"]
    for protocol in range(6):
        raw = pickle.dumps(plain, protocol=protocol)
        assert load_plain_pickle(dump(tmp_path / "b", raw), "") == pickle.load(io.BytesIO(raw)) == plain
