"""A checkpoint's contents are plain, bounded and dense before anything is built from them."""

import copy
import tracemalloc

import pytest
import torch

from src.models.checkpoint_schema import KEYS, require_contents, require_plain, require_tensors
from src.utils.errors import UserError


@pytest.fixture
def checkpoint(trained):
    return torch.load(trained.best, weights_only=True)


def refusal(check, *arguments):
    with pytest.raises(UserError) as raised:
        check(*arguments)
    message = str(raised.value)
    assert message.isprintable() and len(message) <= 2000
    return message


def test_what_training_saves_is_taken(checkpoint):
    require_contents(checkpoint)


@pytest.mark.parametrize("key", KEYS)
def test_each_part_is_there_and_holds_keys_and_values(checkpoint, key):
    lacking = {name: value for name, value in checkpoint.items() if name != key}
    assert refusal(require_contents, lacking) == f"lacks {key}; it was not made by src/train.py"
    for value in (None, [], "x", 3, torch.zeros(2)):
        assert refusal(require_contents, checkpoint | {key: value}).startswith(f"{key}: a {type(value).__name__} given")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("labels", value) for value in ("Exact", "", None, 1)),
        *(("seed", value) for value in (-1, 2**64, 1.0, True, "0", None)),
        *(("val_fraction", value) for value in (0.0, 1.0, -0.1, float("nan"), float("inf"), "0.1")),
        *(("eval_batch_size", value) for value in (0, 2**21, 64.0, None)),
        *(
            ("num_workers", 64),
            ("data_dir", "/etc"),
            ("trust", ["os"]),
            ("recipe", {}),
            ("root", "/"),
            ("verify", True),
        ),
    ],
)
def test_settings_are_the_four_that_a_test_needs(checkpoint, key, value):
    checkpoint["data_settings"][key] = value
    assert refusal(require_contents, checkpoint).startswith(f"data_settings.{key}: ")


def test_a_setting_that_is_missing_is_named(checkpoint):
    del checkpoint["data_settings"]["seed"]
    assert refusal(require_contents, checkpoint).startswith("data_settings.seed: ")


# plain values


@pytest.mark.parametrize(
    "value", [None, True, 0, -1.5, float("nan"), "text", "two\nlines\t", [], {}, [[1], {"a": (2,)}], "é"]
)
def test_plain_values_pass(value):
    require_plain({"key": value}, "model_config")


@pytest.mark.parametrize(
    "value",
    [
        *(torch.zeros(3), b"bytes", {1, 2}, 1j, object(), torch.float32, range(3), torch.Size([1])),
        *("\x1b[31m", "a\0b", "\u202e", "\ud800", "x" * 10_001, 2**65, -(2**65)),
        *({3: 1}, {None: 1}, {"\x1b": 1}, {"": 1, "k" * 501: 1}, {("a",): 1}),
    ],
    ids=range(20),
)
@pytest.mark.parametrize(
    "wrap", [lambda one: one, lambda one: [one], lambda one: {"deep": [{"deeper": one}]}], ids=range(3)
)
def test_anything_else_is_refused_at_any_depth(value, wrap):
    assert refusal(require_plain, {"key": wrap(value)}, "model_config").startswith("model_config.key")


def nested(depth, kind):
    value = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


def test_values_have_a_bound_in_number_and_depth():
    require_plain({"a": [0] * 49_000}, "x")
    for kind in ("list", "dict"):
        require_plain({"a": nested(30, kind)}, "x")
        assert "nested deeper than 32" in refusal(require_plain, {"a": nested(33, kind)}, "x")
        assert "nested deeper than 32" in refusal(require_plain, {"a": nested(5000, kind)}, "x")
    assert "more than 50000 values" in refusal(require_plain, {"a": [0] * 50_001}, "x")
    assert "more than 50000 values" in refusal(require_plain, {"a": [[0] * 1000] * 51}, "x")
    for many in (dict.fromkeys(map(str, range(100)), 0), ["x" * 100] * 50, ["x" * 9999]):
        require_plain({"a": many}, "x", 110)
        assert "x: more than 90 values" in refusal(require_plain, {"a": many}, "x", 90)


def test_lists_that_hold_themselves_or_share_their_parts_end():
    endless = []
    endless.append(endless)
    keys = {}
    keys["a"] = [keys]
    bomb = ["x"] * 10
    for _ in range(40):
        bomb = [bomb, {"a": bomb, "b": bomb}]
    for value in (endless, keys, bomb):
        assert "more than 50000 values, or nested deeper" in refusal(require_plain, {"a": value}, "x")


def test_a_path_is_written_only_for_the_message():
    value = [0] * 40_000
    for _ in range(29):
        value = {"k" * 500: value}
    tracemalloc.start()
    require_plain(value, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25
    value = {"k" * 500: {"a": object()}}
    assert refusal(require_plain, value, "x").startswith("x.kkk")


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"channels": [1] * 5000}},
        {"heads": {str(at): {"kind": "regression", "weight": 1.0} for at in range(2000)}},
        {"heads": {"default": {"loss": {"losses": [{"loss": "l1", "name": str(at)} for at in range(300)]}}}},
    ],
)
def test_a_models_config_has_few_values_in_all_and_for_all_heads(checkpoint, change):
    checkpoint["model_config"] |= change
    parameters = checkpoint["dataset_spec"]["parameters"]
    parameters += [parameters[0] | {"name": str(at)} for at in range(10)]
    assert "values, or nested deeper than 32; use a file" in refusal(require_contents, checkpoint)


# weights


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(3),
        torch.zeros(0),
        torch.zeros(()),
        torch.zeros(4, 3).t(),
        torch.arange(9)[3:6],
        torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
        torch.zeros(3, dtype=torch.bool),
    ],
)
def test_dense_tensors_pass(value):
    require_tensors({"a": value}, "state_dict")


@pytest.mark.parametrize(
    "value",
    [
        *(None, 3, "x", [1.0], {"a": torch.zeros(1)}),
        torch.zeros(1).expand(10**6, 10**4),
        torch.zeros(1).expand(2),
        torch.zeros(4).as_strided((4, 4), (1, 0)),
        torch.zeros(4).as_strided((3, 2), (1, 1)),
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(2, dtype=torch.complex64),
        torch.empty(2, device="meta"),
        torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.quint8),
        torch.zeros(2, dtype=torch.float8_e4m3fn),
    ],
    ids=range(14),
)
def test_other_tensors_are_refused_by_their_name(value):
    assert refusal(require_tensors, {"good": torch.zeros(1), "a.b": value}, "state_dict").startswith("state_dict.a.b: ")


def test_weights_may_share_their_numbers_but_not_all_of_them():
    one = torch.zeros(100)
    require_tensors({"a": one, "b": one.view(10, 10), "c": torch.ones(3)}, "state_dict")
    cause = refusal(require_tensors, {str(at): one.view(10, 10) for at in range(3)}, "state_dict")
    assert cause.startswith("state_dict: tensors of 1200 bytes given, but the file has 400; use a file")


@pytest.mark.parametrize("name", [3, None, "\x1b[31m", "x" * 501, ("a",)])
def test_weights_have_printable_names(name):
    assert "keys are printable texts" in refusal(require_tensors, {name: torch.zeros(1)}, "state_dict")


def test_a_description_is_checked_too(checkpoint):
    for name in ("../../x", "/etc", "a\0b", "a\nb", ".", "..", "", "a:b", "a\\b", "x" * 201):
        changed = copy.deepcopy(checkpoint)
        changed["dataset_spec"]["name"] = name
        assert "dataset_spec.name" in refusal(require_contents, changed)
