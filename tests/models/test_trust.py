"""What a checkpoint's model config may name and pass: by key, role and class; and what its user trusts."""

import copy

import pytest

from src.models.components.timm_backbone import FILE_OPTIONS
from src.models.trust import TIMM_BACKBONE, is_listed, named_classes, require_allowed
from src.utils.errors import UserError
from tests import running
from tests.mutation.guard import CANARY, guarded

CNN = "src.models.components.simple_cnn.SimpleCNN"


@pytest.fixture
def config():
    return running.plain("train", "model")


def refusal(config, trust=()):
    with pytest.raises(UserError) as raised:
        require_allowed(config, trust)
    message = str(raised.value)
    assert message.isprintable() and len(message) <= 2000
    return message


def with_loss(config, loss):
    config["heads"] = {"default": {"loss": loss}}
    return config


def test_a_class_is_allowed_in_its_own_role_alone(config):
    places = {role: config[role]["_target_"] for role in ("network", "optimizer", "scheduler")}
    for role in places:
        for other, path in places.items():
            changed = copy.deepcopy(config)
            changed[role]["_target_"] = path
            if role == other:
                require_allowed(changed)
            else:
                assert f"names {path}, which is not an allowed class" in refusal(changed)
    assert "is not an allowed class" in refusal(with_loss(config, places["optimizer"]))


@pytest.mark.parametrize("path", ["src.models.losses.HuberLoss", "huber", "HuberLoss", "torch.nn.HuberLoss"])
def test_a_loss_is_allowed_as_a_loss_and_nowhere_else(config, path):
    require_allowed(with_loss(copy.deepcopy(config), path))
    for role in ("network", "optimizer", "scheduler"):
        changed = copy.deepcopy(config)
        changed[role]["_target_"] = path
        assert "is not an allowed class" in refusal(changed)


@pytest.mark.parametrize("path", ["nablafx.loss.WeightedMultiLoss", "src.models.soft_target_loss.SoftTargetLoss"])
def test_the_names_that_a_loss_had_before_are_still_allowed(config, path):
    with_loss(config, {"_target_": path, "losses": [{"loss": "l1"}]})
    require_allowed(config)
    assert is_listed(config)
    with_loss(config, {"_target_": path, "losses": [{"loss": f"{CANARY}.Loss"}]})
    assert "is not an allowed class" in refusal(config)


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "a..b", f".{CNN}", f"{CNN}.", f"{CNN}.forward", f"{CNN}.__init__", f" {CNN}", f"{CNN}\n"),
        *(CNN.lower(), CNN.replace("SimpleCNN", "nn.Module"), CNN.replace("SimpleCNN", "torch.load")),
        *("src.models.losses.locate.find", "src.models.losses.HuberLoss.registry", "src.models.build.load_checkpoint"),
        *("torch.optim.Optimizer", "torch.optim.lr_scheduler.LambdaLR", "torch.nn.Module", "torch.nn.Sequential"),
        *("ctypes.CDLL", "pathlib.Path", "sys.exit", "__main__.run", "src", "torch", CANARY, f"{CANARY}.Network"),
    ],
)
@pytest.mark.parametrize("role", ["network", "optimizer", "scheduler", "wrappers", "heads"])
def test_nothing_beside_a_listed_path_is_allowed(config, role, path):
    with guarded():
        if role == "heads":
            with_loss(config, {"_target_": path})
        elif role == "wrappers":
            config["wrappers"] = {"one": {"_target_": path}}
        else:
            config[role] = {"_target_": path, "_partial_": True}
        assert "is not an allowed class" in refusal(config)


@pytest.mark.parametrize("value", [3, None, ["a"], {"a": 1}, True, 1.5])
def test_a_class_is_named_by_a_text(config, value):
    config["network"]["_target_"] = value
    assert "give the path of a class (model_config.network)" in refusal(config)


@pytest.mark.parametrize("key", ["lr_multipliers", "auxiliary", "balance", "compile", "channels_last", "_convert_"])
def test_no_class_is_named_where_none_belongs(config, key):
    config[key] = {"deeper": [{"_target_": CNN}]}
    if key.startswith("_"):  # Hydra's own, which takes a word
        return
    assert f"(model_config.{key}.deeper.0)" in refusal(config)


@pytest.mark.parametrize("key", ["spec", "config", "self", "_args_", "_mode_", "more", "x" * 5000, "\x1b[31m"])
def test_an_unknown_key_of_the_model_is_refused(config, key):
    config[key] = 1
    assert "no such key" in refusal(config)


@pytest.mark.parametrize("key", ["_args_", "_mode_", "__class__", "_call_", "_"])
def test_hydras_other_keys_are_refused_at_any_depth(config, key):
    for place in ("network", "optimizer", "scheduler"):
        changed = copy.deepcopy(config)
        changed[place][key] = ["x"]
        assert f"model_config.{place}.{key}: a file may not use this key" in refusal(changed)


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a${b", "${", "\\${x}", "${hydra:runtime.cwd}"])
@pytest.mark.parametrize("place", ["balance", "network", "optimizer", "heads"])
def test_interpolations_are_refused_everywhere(config, text, place):
    target = config if place == "balance" else config[place]
    target["balance" if place == "balance" else "new"] = [{"a": text}]
    assert "give the value itself" in refusal(config)


@pytest.mark.parametrize("number", [65_537, -65_537, 2**63, float("nan"), float("inf"), -float("inf"), 1e300])
def test_sizes_and_numbers_have_bounds(config, number):
    config["network"]["channels"] = [8, number]
    assert "a number of at most 65536" in refusal(config) or not isinstance(number, int)


def test_the_largest_numbers_depend_on_whose_class_takes_them(config):
    config["network"]["feature_dim"] = 65_536
    config["optimizer"]["lr"] = 2.0**53
    require_allowed(with_loss(config, {"_target_": "auraloss.freq.STFTLoss", "fft_size": 8192}))
    assert "a number of at most 8192" in refusal(
        with_loss(config, {"_target_": "auraloss.freq.STFTLoss", "fft_size": 8193})
    )
    counts = {"_target_": "focal", "class_counts": [10**9, 1]}  # of examples
    require_allowed(with_loss(config, counts))
    steps = {"_target_": "weighted_multi", "losses": [{"loss": "l1", "weight": {"start": 0, "end": 1, "steps": 10**7}}]}
    require_allowed(with_loss(config, steps))


# options of timm


def timm_config(config, **network):
    config["network"] = {"_target_": TIMM_BACKBONE, "_partial_": True, "name": "resnet10t", **network}
    return config


def test_plain_options_of_timm_are_allowed_and_file_options_are_passed_over(config):
    options = {"act_layer": "gelu", "drop_rate": 0.1, "layers": [1, 1, 1, 1], "window_size": [4, 4]}
    require_allowed(timm_config(config, options=options))
    require_allowed(timm_config(config, weights="/etc/passwd", options=dict.fromkeys(FILE_OPTIONS, "/etc/passwd")))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("features_only", True), ("scriptable", True), ("exportable", True), ("no_jit", True), ("num_classes", 10)),
        *(("block", "x"), ("pretrained_url", "x"), ("kwargs", {}), ("_target_", "os.system"), ("", 1), ("in_chans", 3)),
        *(("hf_hub_id", "a/b"), ("source", "hf-hub"), ("custom_load", True), ("state_dict", {}), ("out_indices", [1])),
    ],
)
def test_other_options_of_timm_are_refused(config, key, value):
    message = refusal(timm_config(config, options={key: value}))
    assert "may not give this option" in message or "is not an allowed class" in message


@pytest.mark.parametrize("text", ["os.system(", "https://x.y/z", "/etc/passwd", "../x", "A", "x" * 65, "a b", "hf:a"])
def test_a_word_for_timm_is_a_plain_name(config, text):
    assert "a name that timm knows is needed" in refusal(timm_config(config, options={"act_layer": text}))
    assert "a name that timm knows is needed" in refusal(timm_config(config, options={"layers": [1, text]}))


@pytest.mark.parametrize("options", ["pretrained", ["pretrained"], 3])
def test_options_that_are_no_mapping_are_one_line(config, options):
    assert "network.options" in refusal(timm_config(config, options=options))


# what the user trusts


def test_a_trusted_class_may_be_given_what_it_likes_but_no_other_class(config, tmp_path, monkeypatch):
    (tmp_path / "own_for_trust.py").write_text("class Net:\n    pass\n\n\ndef net():\n    pass\n\n\nOTHER = Net()\n")
    monkeypatch.syspath_prepend(tmp_path)
    config["network"] = {"_target_": "own_for_trust.Net", "file": "/a/b", "size": 10**6, "_args_": ["x"]}
    assert "if it is your code, give trust=[own_for_trust.Net]" in refusal(config)
    for trust in (("own_for_trust",), ("own_for_trust.Net",)):
        require_allowed(config, trust)
        changed = copy.deepcopy(config)
        changed["network"]["inner"] = [{"_target_": f"{CANARY}.Network"}]
        assert "is not an allowed class" in refusal(changed, trust)
        changed["network"]["inner"] = "${oc.env:HOME}"
        assert "is not allowed in a checkpoint" in refusal(changed, trust)
    for name in ("net", "OTHER"):
        config["network"]["_target_"] = f"own_for_trust.{name}"
        assert "only a class can be trusted" in refusal(config, ("own_for_trust",))


def test_what_a_config_names_is_found_at_any_depth():
    config = {
        "_target_": "a.A",
        "network": {"_target_": "b.B", "inner": [[{"class_path": "c.C", "init_args": {"x": {"_target_": "d.D"}}}]]},
        "heads": {"default": {"loss": "huber"}, "x": {"loss": {"_target_": "m", "losses": [{"loss": "e.E"}]}}},
        "text": "no.class",
    }
    assert named_classes(config) == {"a.A", "b.B", "c.C", "d.D", "huber", "m", "e.E"}
    assert not is_listed(config) and is_listed({"network": {"_target_": CNN}}) and is_listed({})
