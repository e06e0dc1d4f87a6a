"""Whose code a file may name is what its user says, word by word."""

import sys

import pytest

from src.utils.errors import UserError
from src.utils.trust import how_to_trust, is_dotted, is_trusted, names_module, trusted_paths
from tests.mutation.guard import CANARY, guarded


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        (None, ()),
        ([], ()),
        ("a", ("a",)),
        ("a.B", ("a.B",)),
        (["a", "b.c"], ("a", "b.c")),
        ({"a": 1}, ("a",)),
        (("ä",), ("ä",)),
    ],
)
def test_trust_is_a_list_of_dotted_paths(given, paths):
    assert trusted_paths(given) == paths


@pytest.mark.parametrize(
    "given", [3, True, [3], [None], "", "a.", ".a", "a..b", "a b", "*", ["a/b"], ["a\nb"], "a-b", "1a"]
)
def test_anything_else_is_one_line(given):
    with pytest.raises(UserError, match=r"^trust: .* as in trust=\[my_networks\]$"):
        trusted_paths(given)


def test_a_module_covers_what_lies_below_it_by_whole_names():
    assert names_module("mine.Net", ("mine",)) and names_module("mine.sub.Net", ("mine.sub",))
    assert names_module("mine", ("mine",)) and names_module("mine.Net", ("other", "mine.Net"))
    for path in (
        "minex.Net",
        "min.Net",
        "Mine.Net",
        "mine..Net",
        "mine.Net.",
        "",
        ".mine.Net",
        "mine.N et",
        "mine/Net",
    ):
        assert not names_module(path, ("mine",))
    assert not names_module("mine.Net", ("mine.Ne", "mine.Nets", "mine.Net.deeper"))
    assert not names_module("mine.Net", ())


def test_dotted_paths_are_names_of_python():
    assert is_dotted("a.b_2.C") and is_dotted("a")
    assert not any(map(is_dotted, ("", ".", "a.", "a..b", "a.2", "a b", "a.b()", "a\n", "a.b[0]")))


def test_nothing_is_imported_that_is_not_trusted():
    with guarded():
        assert not is_trusted(f"{CANARY}.Network", ())
        assert not is_trusted(f"{CANARY}.Network", ("tests.mutation.canar", "os", "tests.mutation.canary.Loss"))
        assert not is_trusted("os.system", ("mine",))


MODULE = """
import os
from collections import OrderedDict
from pathlib import Path as Renamed

class Net:
    class Inner:
        pass

def build():
    pass

OBJECT = Net()
ALIAS = Net
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "trusted_one.py").write_text(MODULE)
    (tmp_path / "broken_one.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("trusted_one", None)


@pytest.mark.parametrize("path", ["trusted_one.Net", "trusted_one.ALIAS", "trusted_one.Net.Inner"])
def test_the_classes_of_a_trusted_module_are_trusted(mine, path):
    assert is_trusted(path, ("trusted_one",)) and is_trusted(path, (path,))


@pytest.mark.parametrize("path", ["trusted_one.OrderedDict", "trusted_one.Renamed"])
def test_what_a_trusted_module_imports_is_not_unless_it_is_named(mine, path):
    assert not is_trusted(path, ("trusted_one",))
    assert is_trusted(path, (path,))


@pytest.mark.parametrize("path", ["trusted_one.build", "trusted_one.OBJECT", "trusted_one", "trusted_one.os.system"])
def test_only_classes_can_be_trusted(mine, path):
    for trust in (("trusted_one",), (path,)):
        with pytest.raises(UserError, match="only a class can be trusted"):
            is_trusted(path, trust)


@pytest.mark.parametrize("path", ["trusted_one.none", "no_such_module_x.Net", "broken_one.Net"])
def test_what_cannot_be_imported_is_one_line(mine, path):
    with pytest.raises(UserError, match=rf"^{path}: cannot be imported \([^\n]*\)$"):
        is_trusted(path, (path,))


def test_the_advice_never_tells_to_trust_a_library_or_what_is_no_path():
    assert how_to_trust("mine.Net").startswith("if it is your code, give trust=[mine.Net]")
    for path in ("os.system", "torch.load", "hydra.utils.instantiate", "numpy.load", "huber", "", "a b.c", "x\n.y"):
        assert how_to_trust(path) == "use a file from a source that you trust"
