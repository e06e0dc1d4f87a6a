"""Checkpoints as damage, mistakes and malice leave them: each a function of a seed, each with what may come of it.

`mutate` takes a file's bytes and gives another file's. Where the bytes themselves are damaged, whoever reads them has
to refuse them, or to find what was there before. Where a value in them was changed, and the file is whole otherwise, it
may be refused, or taken as it now stands.
"""

import copy
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tests.mutation.guard import CANARY

Path_ = tuple[Any, ...]


@dataclass(frozen=True)
class Mutant:
    """A mutated file; `damaged` where its bytes no longer are what torch saved."""

    kind: str
    content: bytes
    damaged: bool


def mutate(content: bytes, seed: int) -> Mutant:
    """Return the mutant of a checkpoint's bytes that a seed stands for."""
    draw = random.Random(seed)
    kind = draw.choice([*_BYTES, *_PICKLES, *3 * list(_TREES)])
    if kind in _BYTES:
        return Mutant(kind, _BYTES[kind](content, draw), damaged=True)
    if kind in _PICKLES:
        return Mutant(kind, _rezip(content, lambda name, data: _in_pickle(kind, name, data, draw)), damaged=False)
    tree = torch.load(io.BytesIO(content), weights_only=True)
    _TREES[kind](tree, draw)
    return Mutant(kind, saved(tree), damaged=False)


def saved(tree: Any) -> bytes:
    """Return what torch.save writes."""
    buffer = io.BytesIO()
    torch.save(tree, buffer)
    return buffer.getvalue()


# damaged bytes


def _flip(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8, 64])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def _blank(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    size = draw.choice([1, 16, 512, 4096, 65536])
    return content[:start] + bytes(len(content[start : start + size])) + content[start + size :]


def _insert(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) + 1)
    return content[:start] + draw.randbytes(draw.choice([1, 4, 100, 5000])) + content[start:]


def _cut(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    return content[:start] + content[start + draw.choice([1, 4, 100, 5000]) :]


def _noise(content: bytes, draw: random.Random) -> bytes:
    return draw.choice([b"", b"PK\x03\x04", content[:4]]) + draw.randbytes(draw.choice([0, 1, 100, 20_000]))


_BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bits flipped": _flip,
    "truncated": _truncate,
    "zeros": _blank,
    "bytes inserted": _insert,
    "bytes missing": _cut,
    "noise": _noise,
}


# whole archives of damaged or malicious contents

_MALICE = [
    b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    b"\x80\x02c" + CANARY.encode() + b"\ncall\n)R.",
    b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.",
    b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n)R.",
    b"\x80\x02ctorch\nload\nX\x01\x00\x00\x00a\x85R.",
    b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    b"\x80\x02]q\x00h\x00a.",
    b"\x80\x02" + b"(" * 100_000 + b".",
    b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
    b"\x80\x02X\xff\xff\xff\x7f",
    b"\x80\x02\x8b\xff\xff\xff\x7f.",
]


def _rezip(content: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """Return an archive of changed entries, with the checksums of what they now are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            data = change(entry.filename, old.read(entry))
            if data is not None:
                new.writestr(entry.filename, data)
    return buffer.getvalue()


def _in_pickle(kind: str, name: str, data: bytes, draw: random.Random) -> bytes | None:
    if kind == "an entry missing":
        return None if draw.random() < 0.03 else data
    if kind == "an entry resized":
        return data[: draw.randrange(len(data) + 1)] if draw.random() < 0.05 else data
    if not name.endswith(".pkl"):
        return data
    if kind == "a pickle that calls":
        return draw.choice(_MALICE)
    return draw.choice([_flip, _flip, _truncate, _cut, _insert])(data, draw)


_PICKLES = ("a damaged pickle", "a pickle that calls", "an entry missing", "an entry resized")


# values changed in a file that is whole otherwise

_NUMBERS = [
    *(-1, 0, 1, 2, 3, 64, 255, 65_535, 65_537, 10**6, 10**9, 2**31, 2**53, 2**63, 2**64, -(2**63)),
    *(0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"), float("-inf")),
]
_TEXTS = [
    *("", " ", "x", "." * 3, "..", "../../evil", "/etc/passwd", "C:\\x", "a/b", "x" * 300, "y" * 200_000, "a\0b"),
    *("\x1b[31mred\x1b[0m", "[bold]x[/bold]", "gain[/]", "<script>alert(1)</script>", "\u202eabc", "\n\n", "\ud800"),
    *("${oc.env:HOME}", "${oc.env:HOME,x}", "${model_config.network}", "???", "null", "true", "1e9", "%s{}", "é" * 99),
    *(
        f"{CANARY}.Network",
        f"{CANARY}.call",
        f"{CANARY}.VOICE",
        "os.system",
        "builtins.eval",
        "torch.load",
        "torch.hub.load",
    ),
    *("src.models.build.load_checkpoint", "src.data.generate.generate", "hydra.utils.instantiate", "timm.create_model"),
    *("s3://bucket/x", "file:///etc/passwd", "simplecache::http://127.0.0.1:9/x", "local:///tmp", "hf-hub:a/b"),
]
_CALLS: list[Any] = [
    {"_target_": f"{CANARY}.call"},
    {"_target_": f"{CANARY}.Network", "_partial_": True},
    {"class_path": f"{CANARY}.Loss", "init_args": {}},
    {"_target_": "src.models.build.load_checkpoint", "path": "inner.ckpt", "trust": ["torch"]},
    {"_target_": "weighted_multi", "losses": [{"loss": f"{CANARY}.Loss"}, {"loss": {"_target_": f"{CANARY}.call"}}]},
    {"_target_": "auraloss.freq.STFTLoss", "window": "load", "win_length": "inner.ckpt"},
    {"_target_": "auraloss", "name_in_auraloss": "STFTLoss", "window": "set_num_threads", "win_length": 64},
    {"_target_": "torch.nn.TripletMarginWithDistanceLoss", "distance_function": f"{CANARY}.call"},
    {
        "_target_": "src.models.components.timm_backbone.TimmBackbone",
        "_partial_": True,
        "name": "resnet10t",
        "weights": "inner.ckpt",
        "options": {"pretrained": True, "cache_dir": "evil", "pretrained_cfg": {"url": "http://127.0.0.1:9/w"}},
    },
    {
        "_target_": "src.models.components.timm_backbone.TimmBackbone",
        "_partial_": True,
        "name": "resnet10t",
        "options": {"checkpoint_path": "inner.ckpt"},
    },
    {"_target_": "src.models.components.simple_mlp.SimpleMLP", "_partial_": True, "hidden_sizes": [10**9, 10**9]},
    {"_target_": "src.models.components.simple_mlp.SimpleMLP", "_partial_": True, "hidden_sizes": [65_536] * 3},
    {"_target_": "src.models.components.vision_transformer.VisionTransformer", "_partial_": True, "depth": 65_536},
    {"_target_": "soft_target", "num_classes": 65_536},
    {"_target_": "mel_spectral", "sample_rate": 44_100, "num_bands": 60_000, "n_fft": 65_536},
]
_KEYS: list[tuple[str, Any]] = [
    *(("_args_", ["touch evil"]), ("_partial_", 3), ("_convert_", "x"), ("_recursive_", "no"), ("_mode_", 1)),
    *(
        ("num_workers", 64),
        ("data_dir", "/etc"),
        ("cache_dir", "evil"),
        ("recipe", {}),
        ("root", "/"),
        ("trust", ["os"]),
    ),
    *(("device_cache", True), ("pin_memory", True), ("verify", True), ("weights", "/etc/passwd"), ("pretrained", True)),
    *(("name", "../../evil"), ("voice", f"{CANARY}.VOICE"), ("loss", f"{CANARY}.Loss"), ("settings", {"path": "x"})),
    *(("context", {}), ("compile", True), ("spec", {}), ("config", {}), ("self", 1), ("\x1b[31m", 1), ("k" * 9000, 1)),
]


def _places(tree: Any, here: Path_ = ()) -> list[Path_]:
    """Return the way to every value below the four parts that a model comes from."""
    if isinstance(tree, dict):
        return [place for key, value in tree.items() for place in [(*here, key), *_places(value, (*here, key))]]
    if isinstance(tree, list):
        return [place for at, value in enumerate(tree) for place in [(*here, at), *_places(value, (*here, at))]]
    return []


def _plain_places(tree: dict[str, Any]) -> list[Path_]:
    parts = ("model_config", "dataset_spec", "data_settings")
    return [(part, *place) for part in parts for place in [(), *_places(tree[part])]]


def _state_places(tree: dict[str, Any]) -> list[Path_]:
    """Return the way to every value of what a training goes on from."""
    model = ("model_config", "dataset_spec", "data_settings", "state_dict")
    return _places({key: value for key, value in tree.items() if key not in model})


def _holder(tree: Any, place: Path_) -> Any:
    for key in place[:-1]:
        tree = tree[key]
    return tree


def _get(tree: Any, place: Path_) -> Any:
    return _holder(tree, place)[place[-1]]


def _odd_value(draw: random.Random) -> Any:
    deep: Any = 1
    for _ in range(draw.choice([5, 40, 200])):
        deep = [deep]
    others = [None, True, False, [], {}, [None], {"": ""}, deep, torch.zeros(3), [0] * 150_000, b"x"]
    kinds = [_NUMBERS, _TEXTS, others, _CALLS]
    return copy.deepcopy(draw.choice(draw.choice(kinds)))


def _replace(tree: dict[str, Any], draw: random.Random) -> None:
    place = draw.choice(_plain_places(tree))
    _holder(tree, place)[place[-1]] = _odd_value(draw)


def _endless(tree: dict[str, Any], draw: random.Random) -> None:
    """Put in a list that holds itself, or lists that share their parts: small in the file, and endless written out."""
    endless: list[Any] = []
    endless.append(endless)
    bomb: Any = ["x"] * 10
    for _ in range(40):
        bomb = draw.choice([[bomb, bomb], {"a": bomb, "b": bomb}])
    place = draw.choice([draw.choice(_plain_places(tree)), draw.choice(_state_places(tree))])
    _holder(tree, place)[place[-1]] = draw.choice([endless, bomb])


def _remove(tree: dict[str, Any], draw: random.Random) -> None:
    place = draw.choice([*_plain_places(tree), *((key,) for key in tree)])
    del _holder(tree, place)[place[-1]]


def _add(tree: dict[str, Any], draw: random.Random) -> None:
    places = [place for place in _plain_places(tree) if isinstance(_get(tree, place), dict)]
    key, value = draw.choice(_KEYS)
    _get(tree, draw.choice(places))[key] = copy.deepcopy(draw.choice([value, _odd_value(draw)]))


def _swap(tree: dict[str, Any], draw: random.Random) -> None:
    one, other = draw.choice(_plain_places(tree)), draw.choice(_plain_places(tree))
    first, second = copy.deepcopy(_get(tree, one)), copy.deepcopy(_get(tree, other))
    _holder(tree, one)[one[-1]] = second
    if one[: len(other)] != other[: len(one)]:
        _holder(tree, other)[other[-1]] = first


def _scale(tree: dict[str, Any], draw: random.Random) -> None:
    places = [place for place in _plain_places(tree) if type(_get(tree, place)) in (int, float)]
    place = draw.choice(places)
    value = _get(tree, place)
    changed = draw.choice(
        [-value, value + 1, value - 1, value * 2, value * 1000, value * 10**6, value / 3, float(value)]
    )
    _holder(tree, place)[place[-1]] = changed


def _call(tree: dict[str, Any], draw: random.Random) -> None:
    """Put a call, or the name of code, where code is named, and where it is not."""
    named = {"_target_", "class_path", "voice", "loss", "name"}
    places = [place for place in _plain_places(tree) if place[-1] in named] if draw.random() < 0.5 else []
    place = draw.choice(places or _plain_places(tree))
    code = [text for text in _TEXTS if "." in text[1:-1]]
    _holder(tree, place)[place[-1]] = copy.deepcopy(draw.choice([draw.choice(code), draw.choice(_CALLS)]))


def _tensor(tree: dict[str, Any], draw: random.Random) -> None:
    """Change a weight: its shape, its type, its numbers, its layout or its name."""
    weights = tree["state_dict"]
    name = draw.choice(list(weights))
    value = weights[name].clone()
    flat = value.reshape(-1)
    match draw.randrange(16):
        case 0 | 1 | 2 if value.is_floating_point():
            flat[draw.randrange(len(flat))] = draw.choice([float("nan"), float("inf"), -float("inf"), 1e38, -1e38])
        case 3:
            value = value[None]
        case 4:
            value = flat[: draw.randrange(len(flat) + 1)]
        case 5:
            value = torch.zeros(1).expand(10**6, 10**4)
        case 6:
            value = value.to(draw.choice([torch.float64, torch.float16, torch.int64, torch.bool, torch.complex64]))
        case 7:
            value = value.to_sparse()
        case 8:
            value = torch.quantize_per_tensor(value.float(), 0.1, 0, torch.quint8)
        case 9:
            value = value.t() if value.ndim == 2 else value.flip(0)
        case 10:
            value = torch.nn.Parameter(value, requires_grad=value.is_floating_point() or value.is_complex())
        case 11:
            del weights[name]
            name = draw.choice([name.upper(), "x", "\x1b[31m", 3, "network." + "z" * 5000])
        case 12:
            value = draw.choice([None, 3, "text", [1.0], {"a": value}])
        case 13:
            value = torch.full_like(
                value, draw.choice([0.0, 1e30, -1e30] if value.is_floating_point() else [0, 1, 127])
            )
        case 14:
            value = torch.empty(value.shape, device="meta")
        case _:
            value = torch.randn(value.shape)
    weights[name] = value


_PATHS = ["local:///tmp/x", "memory://x.ckpt", "simplecache::http://127.0.0.1:9/x.ckpt", "/etc/passwd", "../../x.ckpt"]


def _state(tree: dict[str, Any], draw: random.Random) -> None:
    """Change what a training goes on from: progress, callbacks, the optimizer's and the schedule's state."""
    place = draw.choice(_state_places(tree))
    holder = _holder(tree, place)
    value = holder[place[-1]]
    match draw.randrange(5):
        case 0:
            del holder[place[-1]]
        case 1 if isinstance(value, torch.Tensor):
            holder[place[-1]] = draw.choice([value.reshape(-1)[:1], value[None], torch.full_like(value, -1), None])
        case 2 if isinstance(value, dict):
            value[draw.choice(["step", "optimizer", "x", 3, "best_model_path"])] = draw.choice([draw.choice(_PATHS), 7])
        case 3 if isinstance(value, str):
            holder[place[-1]] = draw.choice(_PATHS)
        case _:
            holder[place[-1]] = _odd_value(draw)


def _whole(tree: dict[str, Any], draw: random.Random) -> None:
    """Replace one of a checkpoint's own parts."""
    tree[draw.choice(list(tree))] = _odd_value(draw)


def _several(tree: dict[str, Any], draw: random.Random) -> None:
    for _ in range(draw.choice([2, 3, 5])):
        try:
            draw.choice([_replace, _remove, _add, _swap, _scale, _tensor])(tree, draw)
        except (AttributeError, IndexError, KeyError, TypeError, RuntimeError):  # the one before took its place away
            continue


_TREES: dict[str, Callable[[dict[str, Any], random.Random], None]] = {
    "a value replaced": _replace,
    "an endless value": _endless,
    "a key removed": _remove,
    "a key added": _add,
    "values swapped": _swap,
    "a number scaled": _scale,
    "code named": _call,
    "a weight changed": _tensor,
    "a state changed": _state,
    "a part replaced": _whole,
    "several": _several,
}
