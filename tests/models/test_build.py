"""Models from configs and from checkpoints; a checkpoint from elsewhere runs nothing."""

import os
import pickle
import shutil
import zipfile
from dataclasses import replace

import pytest
import torch

from src.data.dataset import images_to_float
from src.data.info import read_spec
from src.data.inputs import Inputs
from src.data.spec import Origin
from src.data.vimh_dataset import VIMHDataset
from src.models.build import build_model, load_checkpoint, load_weights, read_checkpoint, require_loadable
from src.models.trust import named_classes
from src.utils.errors import UserError
from tests import running


def refusal(path):
    with pytest.raises(UserError) as raised:
        load_checkpoint(path)
    message = str(raised.value)
    assert "\n" not in message and message.startswith("ckpt_path: ") and str(path) in message
    return message


class Malice:
    """Unpickled by the letter, it would run a command."""

    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        return os.system, (f"touch {self.sentinel}",)


def test_a_checkpoint_needs_nothing_but_its_file(trained, saw, tmp_path):
    shutil.copy(trained.best, tmp_path / "alone.ckpt")
    model = load_checkpoint(tmp_path / "alone.ckpt")
    assert not model.training
    assert model.spec == read_spec(saw)
    batch = VIMHDataset(saw, "test").__getitems__(range(13))
    values = model.values(images_to_float(batch["image"])).detach()
    error = (values - model.spec.space.denormalize(batch["target"])).abs().mean(dim=0)
    expected = [row["mae"] for row in trained.results["rows"]]
    assert error.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_restored_model_is_the_trained_one_bit_by_bit(trained):
    stored = torch.load(trained.best, weights_only=True)["state_dict"]
    restored = load_checkpoint(trained.best).state_dict()
    assert list(restored) == list(stored)
    assert all(torch.equal(restored[name], stored[name]) for name in stored)


def test_training_refuses_a_model_whose_checkpoints_would_be_refused(saw):
    config, spec = running.plain("train", "model"), read_spec(saw)
    require_loadable(build_model(config, spec))
    large = build_model(config, replace(spec, inputs=Inputs((1, 4096, 4096)), origin=Origin()))
    with pytest.raises(UserError, match=r"^model\.network: its checkpoints could not be loaded: .*smaller images"):
        require_loadable(large)


def test_model_config_errors_are_one_line(saw):
    config = running.plain("train", "model")
    config["optimizer"]["_target_"] = "torch.optim.Adan"
    with pytest.raises(UserError, match=r"^model: .*torch\.optim\.Adan.*$"):
        build_model(config, read_spec(saw))


def test_missing_file_is_one_line(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.ckpt")
    assert "does not exist" in refusal(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 100, 5_000, 50_000, -1])
def test_truncated_file_is_one_line(trained, tmp_path, size):
    path = tmp_path / "cut.ckpt"
    path.write_bytes(trained.best.read_bytes()[:size])
    assert ("is not a readable checkpoint" if size else "0 bytes; give a .ckpt file") in refusal(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_foreign_files_are_one_line_and_never_executed(tmp_path):
    path, sentinel = tmp_path / "foreign.ckpt", tmp_path / "executed"
    for write in (
        lambda: path.write_text("a: 1\n"),
        lambda: path.write_bytes(os.urandom(3000)),
        lambda: path.write_bytes(pickle.dumps(Malice(sentinel))),
        lambda: torch.save({"state_dict": Malice(sentinel)}, path),
        lambda: zipfile.ZipFile(path, "w").close(),
    ):
        write()
        assert "is not a readable checkpoint" in refusal(path)
    assert not sentinel.exists()


def test_a_checkpoint_of_another_program_says_what_it_lacks(tmp_path):
    torch.save({"state_dict": {"weight": torch.zeros(3)}, "epoch": 3}, tmp_path / "other.ckpt")
    message = refusal(tmp_path / "other.ckpt")
    assert "lacks data_settings, dataset_spec, model_config" in message


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "src.modelsx.Net",
        "src.models.build.pickle.loads",
        "src.models.build.instantiate",
        "torch.nn.parallel.distributed.os.system",
        "torch.nn.no_such",
        "torch.nn.",
        "${oc.env:HOME}",
    ],
)
@pytest.mark.parametrize("place", [("network",), ("optimizer",), ("network", "deeper"), ("heads", "default")])
def test_a_config_may_name_only_what_our_models_and_torch_define(trained, tmp_path, target, place):
    checkpoint = torch.load(trained.best, weights_only=True)
    node = checkpoint["model_config"]
    for key in place:
        node = node.setdefault(key, {})
    node |= {"_target_": target, "_args_": [f"touch {tmp_path / 'executed'}"]}
    torch.save(checkpoint, tmp_path / "evil.ckpt")
    assert f"names {target}, which is not an allowed class" in refusal(tmp_path / "evil.ckpt")
    assert not (tmp_path / "executed").exists()


def test_what_is_trusted_by_name_is_built_and_nothing_beside_it(saw, trained, tmp_path, monkeypatch):
    code = "from src.models.components.simple_cnn import SimpleCNN\n\n\nclass Own(SimpleCNN):\n    pass\n"
    (tmp_path / "own_nets.py").write_text(code)
    (tmp_path / "own_nets_too.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    checkpoint, path = torch.load(trained.best, weights_only=True), tmp_path / "own.ckpt"
    checkpoint["model_config"]["network"]["_target_"] = "own_nets.Own"
    torch.save(checkpoint, path)
    assert (
        "names own_nets.Own, which is not an allowed class; if it is your code, give trust=[own_nets.Own]"
        in refusal(path)
    )
    for trust in (["own_nets"], ["own_nets.Own"], "own_nets", named_classes(checkpoint["model_config"])):
        assert type(load_checkpoint(path, trust).network).__name__ == "Own"
    for trust in (["own_net"], ["own_nets.Ow"], ["own_nets.Own.more"], ["os"], [""], [".own_nets"]):
        with pytest.raises(UserError, match=r"is not an allowed class|must be"):
            load_checkpoint(path, trust)
    checkpoint["model_config"]["network"]["_target_"] = "own_nets_too.Own"
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match="is not an allowed class"):
        load_checkpoint(path, ["own_nets"])


def test_a_target_hidden_in_a_list_or_an_interpolation_is_refused(trained, tmp_path):
    for network in ([{"a": [{"_target_": "os.system"}]}], "${oc.create:{_target_:os.system}}"):
        checkpoint = torch.load(trained.best, weights_only=True)
        checkpoint["model_config"]["network"] = network
        torch.save(checkpoint, tmp_path / "evil.ckpt")
        message = refusal(tmp_path / "evil.ckpt")
        assert "is not an allowed class" in message or "is not allowed in a checkpoint" in message


@pytest.mark.parametrize("target", ["os.system", "antigravity.fly", "src.models.build.pickle.loads", "${oc.env:HOME}"])
@pytest.mark.parametrize(
    "spelled",
    [
        lambda target: target,
        lambda target: {"_target_": target},
        lambda target: {"class_path": target, "init_args": {}},
        lambda target: {"_target_": "weighted_multi", "losses": [{"loss": "l1"}, {"loss": target}]},
        lambda target: {"_target_": "weighted_multi", "losses": [{"loss": {"class_path": target}}]},
    ],
    ids=["name", "target", "class_path", "list", "nested"],
)
def test_a_loss_of_a_checkpoint_may_name_only_ours(trained, tmp_path, target, spelled):
    checkpoint = torch.load(trained.best, weights_only=True)
    checkpoint["model_config"]["heads"]["default"]["loss"] = spelled(target)
    torch.save(checkpoint, tmp_path / "evil.ckpt")
    assert f"names {target}, which is not an allowed class" in refusal(tmp_path / "evil.ckpt")


@pytest.mark.parametrize(
    "loss",
    [
        "l2",
        "src.models.losses.HuberLoss",
        {"_target_": "huber", "delta": 0.1},
        {"class_path": "src.models.losses.values.distance.HuberLoss", "init_args": {"delta": 0.1}},
        {"_target_": "weighted_multi", "balance": "uncertainty", "losses": [{"loss": "l1"}, {"loss": "log_cosh"}]},
    ],
    ids=["name", "path", "target", "class_path", "multi"],
)
def test_a_checkpoint_keeps_its_losses_however_they_are_spelled(saw, trained, tmp_path, loss):
    checkpoint = torch.load(trained.best, weights_only=True)
    config = checkpoint["model_config"]
    config["heads"]["note_velocity"] = {"loss": loss}
    model = build_model(config, read_spec(saw)).eval()
    torch.save(checkpoint | {"state_dict": model.state_dict()}, tmp_path / "own.ckpt")
    restored = load_checkpoint(tmp_path / "own.ckpt")
    batch = VIMHDataset(saw, "test").__getitems__(range(13))
    found = [one.heads.losses(one(images_to_float(batch["image"])), batch["target"])[1] for one in (model, restored)]
    assert torch.equal(*found) and restored.heads.term_names == model.heads.term_names


def test_weights_of_another_model_are_one_line(trained, saw):
    other = build_model(running.plain("train", "model", "model=cnn_tiny"), read_spec(saw))
    with pytest.raises(
        UserError, match=r"^ckpt_path: its weights belong to another model .*give the same model=\.\.\.$"
    ):
        load_weights(other, read_checkpoint(trained.best))


@pytest.mark.parametrize("value", ["???", ["???"], "${nowhere}", "${", "${oc.env:HOME}"])
def test_a_config_with_a_missing_value_or_a_reference_is_one_line(trained, tmp_path, value):
    checkpoint = torch.load(trained.best, weights_only=True)
    checkpoint["model_config"]["network"]["channels"] = value
    torch.save(checkpoint, tmp_path / "missing.ckpt")
    with pytest.raises(UserError, match=r"^ckpt_path: ") as raised:
        load_checkpoint(tmp_path / "missing.ckpt")
    assert "\n" not in str(raised.value) and os.environ["HOME"] not in str(raised.value)


def test_a_checkpoint_whose_weights_and_config_disagree_is_one_line(trained, tmp_path):
    checkpoint = torch.load(trained.best, weights_only=True)
    checkpoint["model_config"]["network"]["feature_dim"] = 25
    torch.save(checkpoint, tmp_path / "mixed.ckpt")
    with pytest.raises(UserError, match=r"^ckpt_path: its weights belong to another model .*size mismatch.*$"):
        load_checkpoint(tmp_path / "mixed.ckpt")
