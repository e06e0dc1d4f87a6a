"""Damaged at random: a dataset opens and every gather works, or a UserError says why in one line. Nothing else."""

import copy
import io
import json
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.info import INFO_FILE, read_spec
from src.data.plain_pickle import load_plain_pickle
from src.data.spec import DatasetSpec
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from tests.data.references import edit_info, read_info, record, write_ancestor

BYTES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\0" * 8, b"\xff" * 8, b"\n", b"PK\x03\x04", b"\x93NUMPY\x01\0", b"\x80\x04", b"\0\0\xc0\x7f", b"(" * 40]
    ),
)
NUMBERS = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([2**16, 2**31, 2**63, 2**64, 10**40, 10**400, -(10**400), 0.5, -0.0, 5e-324, 1e-40, 3e38, 1e308]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.floats(),
)
TEXTS = st.one_of(
    st.text(max_size=8), st.sampled_from(["log", "classification", "magnitude", "min", "a\nb", "\ud800", "9" * 500])
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JUNK = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["min", "max", "step", "num_classes", "scale", "kind", "type", "default", "value", "height", "metadata_bytes", "x"]
)


def damage_bytes(data, content: bytes, label: str) -> bytes:
    """Truncate, extend, flip, cut out, overwrite, and splice, a few times over."""
    for _ in range(data.draw(st.integers(1, 4), label)):
        size = len(content)
        at, end = sorted(data.draw(st.tuples(st.integers(0, size), st.integers(0, size))))
        how = data.draw(
            st.sampled_from(["flip", "flip", "near the start", "overwrite", "cut out", "end", "insert", "splice"])
        )
        if how == "flip" and at < size:
            content = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
        elif how == "near the start" and size:
            near = at % min(size, 200)
            content = content[:near] + bytes([data.draw(st.integers(0, 255))]) + content[near + 1 :]
        elif how == "overwrite":
            new = data.draw(BYTES)
            content = content[:at] + new + content[at + len(new) :]
        elif how == "cut out":
            content = content[:at] + content[end:]
        elif how == "end":
            content = content[:at]
        elif how == "insert":
            content = content[:at] + data.draw(BYTES) + content[at:]
        elif how == "splice":
            content = content + content[at:end]
    return content


def damage_tree(data, tree):
    """Delete, replace, add and retype values anywhere in nested dicts and lists."""
    tree = copy.deepcopy(tree)
    for _ in range(data.draw(st.integers(1, 4))):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and node[key] and data.draw(st.integers(0, 4)):
                node = node[key]
                continue
            how = data.draw(st.sampled_from(["delete", "junk", "number", "number", "add", "as text"]))
            if how == "delete":
                del node[key]
            elif how == "as text":
                node[key] = repr(node[key])[:100]
            elif how == "add" and isinstance(node, dict):
                node[data.draw(KEYS)] = data.draw(JUNK)
            else:
                node[key] = data.draw(NUMBERS if how == "number" else JUNK)
            break
    return tree


def binary(data, directory):
    path = directory / "train"
    path.write_bytes(damage_bytes(data, path.read_bytes(), "binary"))


def values(data, directory):
    path = directory / "train_params.npy"
    if path.exists():
        path.write_bytes(damage_bytes(data, path.read_bytes(), "params"))
    else:
        header = data.draw(
            st.tuples(st.sampled_from(["<f4", "<f8", "O", "|V3"]), st.integers(-2, 2**70), st.booleans())
        )
        descr, count, fortran = header
        text = repr({"descr": descr, "fortran_order": fortran, "shape": (count, 2)}).encode() + b"\n"
        content = b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text + bytes(160)
        path.write_bytes(damage_bytes(data, content, "header") if data.draw(st.booleans()) else content)


def description(data, directory):
    info = read_info(directory)
    if data.draw(st.integers(0, 3)):
        (directory / INFO_FILE).write_text(json.dumps(damage_tree(data, info)))
    else:
        (directory / INFO_FILE).write_bytes(damage_bytes(data, json.dumps(info).encode(), "json"))


def twin(data, directory):
    """Leave only a pickle twin of train, of any protocol, damaged as a file or in its contents."""
    images, codes, scale = VIMHDataset(directory, "train").records.gather(np.arange(20))
    labels = [[2, 0, int(a), 1, int(b)] for a, b in codes]
    (directory / "train").unlink()
    content = {"data": images.reshape(20, -1), "labels": labels, "scale_factors": scale, "height": images.shape[2]}
    protocol = data.draw(st.integers(0, 5), "protocol")
    if data.draw(st.integers(0, 2)):
        raw = damage_bytes(data, pickle.dumps(content, protocol), "twin")
    else:
        raw = pickle.dumps(damage_tree(data, content), protocol)
    (directory / "train_batch").write_bytes(raw)


@pytest.fixture(scope="module")
def originals(tmp_path_factory, tiny):
    """One dataset of each kind, small enough to be copied thousands of times."""
    root = tmp_path_factory.mktemp("originals")
    shutil.copytree(tiny, root / "ours", ignore=shutil.ignore_patterns("*_batch", "val*", "test*"))
    edit_info(root / "ours", sha256={}, generator=None)
    counts = {"train": 20}
    write_ancestor(root / "2.1", counts)
    write_ancestor(root / "2.0", counts, scale=None, label_encoding={})
    write_ancestor(root / "shapes", counts)
    rows = [record(np.full((1, 2 + n % 3, 4), n), [(0, n), (1, n)]) for n in range(20)]
    (root / "shapes/train").write_bytes(b"".join(rows))
    return root


def use_all(directory) -> VIMHDataset:
    """Open train and gather everything; what comes must be sound."""
    spec = read_spec(directory)
    assert DatasetSpec.from_dict(json.loads(json.dumps(spec.to_dict()))).space == spec.space
    assert max(spec.space.num_classes) <= 65536
    dataset = VIMHDataset(directory, "train", spec=spec)
    assert len(dataset) > 0
    targets = dataset.targets()
    for batch in dataset.batches_by_shape(64, 0):
        got = dataset.__getitems__(batch)
        assert len(got["image"]) == len(batch) and np.isfinite(got["scale"]).all()
        np.testing.assert_array_equal(got["target"], targets[batch])
    assert targets.shape == (len(dataset), len(spec.space)) and (targets >= 0).all() and (targets <= 1).all()
    return dataset


CASES = [
    ("ours", binary), ("2.1", binary), ("2.0", binary), ("shapes", binary), ("ours", values), ("2.1", values),
    ("ours", description), ("2.0", description), ("2.1", twin),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("examples", [60, pytest.param(4000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("kind", "damage"), CASES, ids=lambda value: value if isinstance(value, str) else value.__name__
)
def test_a_damaged_dataset_opens_or_is_refused(originals, tmp_path, one_gigabyte, kind, damage, examples):
    codes = VIMHDataset(originals / kind, "train").records.codes(np.arange(20)).astype(int)
    outcomes = set()

    @settings(max_examples=examples, deadline=5000, database=None, derandomize=examples < 1000)
    @given(st.data())
    def try_one(data):
        directory = tmp_path / "d"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(originals / kind, directory)
        damage(data, directory)
        try:
            dataset = use_all(directory)
        except UserError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 2000
            assert str(directory) in str(error)
            outcomes.add("refused")
        else:
            outcomes.add("opened")
            if (kind, damage) == ("ours", binary):  # no other sound's label, since the exact values vouch for it
                assert np.abs(dataset.records.codes(np.arange(20)).astype(int) - codes).max() <= 1

    try_one()
    assert "refused" in outcomes


def test_a_pickle_of_any_opcodes_is_refused_or_plain(tmp_path, one_gigabyte):
    """Opcodes strung together at random, which reach states that damage to a sound file does not."""
    opcodes = [
        bytes([code]) for code in b"(.0]})lu" + b"aebtsdRNhjgpqr\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94K\x8cCMJ"
    ]
    parts = st.one_of(
        st.sampled_from(opcodes),
        st.sampled_from([b"K\x01", b"h\x00", b"q\x00", b"C\x01b", b"\x8c\x05numpy", b"\x8c\x05dtype", b"\x8c\x02u1"]),
        st.sampled_from([b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n"]),
    )

    @settings(max_examples=300, deadline=5000, database=None, derandomize=True)
    @given(st.lists(parts, max_size=25).map(b"".join))
    def try_one(content):
        (tmp_path / "b").write_bytes(b"\x80\x04" + content + b".")
        try:
            io.StringIO().write(repr(load_plain_pickle(tmp_path / "b", "")))
        except UserError as error:
            assert len(str(error).splitlines()) == 1

    try_one()
