"""Seeded damage to files: the same random.Random in the same state makes the same damage."""

import copy
import os
import pickle
import random
import struct
from typing import Any

import numpy as np

_NUMBERS = (
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-40, 1e30, -3e38, float("nan"), float("inf"), float("-inf"))
_MAGIC = (
    *(b"RIFF", b"RF64", b"WAVE", b"data", b"fmt ", b"LIST", b"FORM", b"AIFF", b"AIFC", b"COMM", b"SSND", b"fLaC"),
    *(
        b"OggS",
        b"\x01vorbis",
        b"OpusHead",
        b"ID3\x04",
        b"Xing",
        b"\xff\xfb\x90\x00",
        b".snd",
        b"caff",
        b"desc",
        b"pakt",
    ),
    *(b"riff", b"\x93NUMPY\x01\0", b"PK\x03\x04", b"\x80\x04", b"\0\0\xc0\x7f", b"(" * 40, b"\xff" * 8, b"\0" * 8),
)
_HEAD = 256  # bytes in which most formats keep their structure


def damage(content: bytes, draw: random.Random, other: bytes = b"") -> bytes:
    """Return a file's bytes with one to four changes; `other` is a file from which pieces may be taken."""
    for _ in range(draw.choice((1, 1, 1, 2, 3, 4))):
        content = draw.choice(_WAYS)(content, draw, other)
    return content


def _place(content: bytes, draw: random.Random) -> int:
    """Return an index, as often within the head as in all the rest."""
    if not content:
        return 0
    if draw.random() < 0.5:
        return draw.randrange(min(_HEAD, len(content)))
    return draw.randrange(len(content))


def _length(content: bytes, draw: random.Random) -> int:
    return draw.choice((1, 2, 4, 8, draw.randrange(1, 64), draw.randrange(1, max(2, len(content)))))


def _flip_bit(content: bytes, draw: random.Random, other: bytes) -> bytes:
    return _put(content, _place(content, draw), lambda byte: bytes([byte[0] ^ (1 << draw.randrange(8))]), 1)


def _set_byte(content: bytes, draw: random.Random, other: bytes) -> bytes:
    return _put(content, _place(content, draw), lambda byte: bytes([draw.randrange(256)]), 1)


def _write_number(content: bytes, draw: random.Random, other: bytes) -> bytes:
    size = draw.choice((1, 2, 4, 8))
    number = draw.choice((*_NUMBERS, draw.getrandbits(8 * size), len(content), len(content) + 1))
    number = (number % 2 ** (8 * size)).to_bytes(size, draw.choice(("little", "big")))
    if draw.random() < 0.2:
        number = struct.pack(draw.choice(("<f", ">f", "<d", ">d")), draw.choice(_FLOATS))
    return _put(content, _place(content, draw), lambda _: number, len(number))


def _write_magic(content: bytes, draw: random.Random, other: bytes) -> bytes:
    word = draw.choice(_MAGIC)
    return _put(content, _place(content, draw), lambda _: word, draw.choice((0, len(word))))


def _cut_off(content: bytes, draw: random.Random, other: bytes) -> bytes:
    return content[: _place(content, draw)]


def _cut_out(content: bytes, draw: random.Random, other: bytes) -> bytes:
    return _put(content, _place(content, draw), lambda _: b"", _length(content, draw))


def _insert(content: bytes, draw: random.Random, other: bytes) -> bytes:
    junk = draw.randbytes(draw.randrange(1, 64))
    return _put(content, _place(content, draw), lambda _: junk, 0)


def _repeat(content: bytes, draw: random.Random, other: bytes) -> bytes:
    return _put(content, _place(content, draw), lambda piece: piece * draw.randrange(2, 20), _length(content, draw))


def _fill(content: bytes, draw: random.Random, other: bytes) -> bytes:
    byte = draw.choice((b"\0", b"\xff", b" ", b"\x80"))
    return _put(content, _place(content, draw), lambda piece: byte * len(piece), _length(content, draw))


def _move(content: bytes, draw: random.Random, other: bytes) -> bytes:
    start, size = _place(content, draw), _length(content, draw)
    piece, rest = content[start : start + size], content[:start] + content[start + size :]
    return _put(rest, _place(rest, draw), lambda _: piece, 0)


def _splice(content: bytes, draw: random.Random, other: bytes) -> bytes:
    start = _place(other, draw)
    piece = other[start : start + _length(other, draw)]
    return _put(content, _place(content, draw), lambda _: piece, draw.choice((0, len(piece))))


def _put(content: bytes, at: int, make: Any, size: int) -> bytes:
    """Return content with what `make` returns in the place of `size` bytes."""
    if not content:
        return content
    return content[:at] + make(content[at : at + size]) + content[at + size :]


_WAYS = (
    *(_flip_bit, _flip_bit, _flip_bit, _set_byte, _set_byte, _write_number, _write_number, _write_number),
    *(_write_magic, _cut_off, _cut_out, _insert, _repeat, _fill, _move, _splice),
)


def damage_tree(tree: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """Return nested dicts and lists with one to four entries deleted, replaced, retyped, added or repeated."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 2, 3, 4))):
        _damage_node(tree, draw)
    return tree


def _damage_node(node: Any, draw: random.Random) -> None:
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = draw.choice(keys)
        if not isinstance(node[key], dict | list) or draw.random() < 0.2:
            break
        node = node[key]
    way = draw.choice(("delete", "junk", "number", "number", "text", "add", "nest", "repeat", "swap"))
    if way == "delete":
        del node[key]
    elif way == "text":
        node[key] = str(node[key])[:200]
    elif way == "number":
        node[key] = _number(draw, node[key])
    elif way == "add" and isinstance(node, dict):
        node[draw.choice(("min", "max", "step", "scale", "kind", "type", "default", "num_classes", "x"))] = junk(draw)
    elif way == "nest":
        node[key] = [node[key]]
    elif way == "repeat" and isinstance(node, list):
        node.extend(node[:1] * draw.randrange(1, 400))
    elif way == "swap":
        second = draw.choice(keys)
        node[key], node[second] = node[second], node[key]
    else:
        node[key] = junk(draw)


def _number(draw: random.Random, value: Any) -> Any:
    near = value if isinstance(value, int | float) and value == value and abs(value) < 1e300 else 0
    return draw.choice(
        (*_NUMBERS, *_FLOATS, -1, 10**40, 10**400, 5e-324, near + 1, near - 1, -near, near * 2, near / 3)
    )


def junk(draw: random.Random, depth: int = 3) -> Any:
    """Return any value that JSON or a plain pickle can hold."""
    way = draw.randrange(9 if depth else 6)
    if way == 0:
        return draw.choice((None, True, False))
    if way < 3:
        return _number(draw, 0)
    if way < 6:
        return draw.choice(
            (
                "",
                "a",
                "log",
                "classification",
                "a\nb",
                "\x1b[31m",
                "\ud800",
                "9" * 500,
                "../../x",
                "${oc.env:HOME}",
                "<b>",
            )
        )
    if way < 8:
        return [junk(draw, depth - 1) for _ in range(draw.randrange(4))]
    return {draw.choice(("min", "max", "value", "a", "")): junk(draw, depth - 1) for _ in range(draw.randrange(4))}


class Canary:
    """An object whose pickle creates a file when it is loaded: code of a stranger."""

    def __init__(self, path: str, way: int):
        self.path, self.way = path, way

    def __reduce__(self) -> tuple[Any, ...]:
        if self.way == 0:
            return os.mkdir, (self.path,)
        if self.way == 1:
            return os.system, (f"touch {self.path}",)
        if self.way == 2:
            return eval, (f"open({self.path!r}, 'w').close()",)
        return exec, (f"open({self.path!r}, 'w').close()",)


def with_canary(tree: dict[str, Any], draw: random.Random, path: str) -> bytes:
    """Return the pickle, of any protocol, of a dict in which something is a canary."""
    tree = dict(tree)
    canary = Canary(path, draw.randrange(4))
    key = draw.choice((*tree, "extra"))
    tree[key] = draw.choice((canary, [canary], (1, canary), {"a": canary}, np.array([canary, None], dtype=object)))
    return pickle.dumps(tree, draw.randrange(6))
