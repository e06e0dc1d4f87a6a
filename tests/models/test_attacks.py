"""What an attacker writes into a checkpoint: nothing is imported, called, fetched, started, written or read in.

Each attack changes the checkpoint of a run. It is refused in one line, or it has no effect.
"""

import io
import pickle

import pytest
import torch

from src.models.build import load_checkpoint, read_checkpoint, restore_model
from src.models.components.timm_backbone import FILE_OPTIONS
from src.models.trust import TIMM_BACKBONE
from src.utils.errors import MOST_LETTERS, UserError
from tests.mutation.guard import CANARY, guarded

CALL = f"{CANARY}.call"
CNN = "src.models.components.simple_cnn.SimpleCNN"
URL = "http://127.0.0.1:9/weights.safetensors"

FUNCTIONS = [
    *("src.models.build.load_checkpoint", "src.models.build.read_checkpoint", "src.models.build.build_model"),
    *(
        "src.models.build.instantiate",
        "src.models.checkpoint_file.load_plain",
        "src.models.losses.create_loss_function",
    ),
    *(
        "src.models.losses.locate.find",
        "src.models.losses.locate.importlib.import_module",
        "src.data.generate.generate",
    ),
    *("src.synth.voice.load_voice", "src.data.source.load_source", "src.utils.files.write_atomic", "src.api.load"),
    *(
        "src.utils.trust.get_object",
        "src.cli.instantiate.build",
        "src.train.main",
        "src.callbacks.checkpoint_io.save_whole",
    ),
    *("hydra.utils.instantiate", "hydra.utils.call", "hydra.utils.get_class", "hydra.utils.get_method", "hydra.main"),
    *("hydra.utils.get_object", "hydra._internal.utils._locate", "omegaconf.OmegaConf.load", "functools.partial"),
    *(
        "functools.reduce",
        "operator.methodcaller",
        "operator.attrgetter",
        "builtins.eval",
        "builtins.exec",
        "builtins.open",
    ),
    *(
        "builtins.getattr",
        "builtins.__import__",
        "builtins.print",
        "importlib.import_module",
        "runpy.run_path",
        "os.system",
    ),
    *(
        "os.mkdir",
        "os.remove",
        "subprocess.run",
        "subprocess.Popen",
        "shutil.rmtree",
        "pathlib.Path.write_text",
        "code.interact",
    ),
    *(
        "pickle.loads",
        "pickle.load",
        "marshal.loads",
        "ctypes.CDLL",
        "socket.create_connection",
        "urllib.request.urlopen",
    ),
    *(
        "torch.load",
        "torch.save",
        "torch.hub.load",
        "torch.hub.download_url_to_file",
        "torch.jit.load",
        "torch.ops.load_library",
    ),
    *(
        "torch.utils.cpp_extension.load",
        "torch.utils.model_zoo.load_url",
        "torch.utils.data.DataLoader",
        "torch.compile",
    ),
    *("torch.classes.load_library", "torch.serialization.load", "torch.package.PackageImporter", "torch.nn.Module"),
    *("torch.optim.lr_scheduler.LambdaLR", "torch.nn.TripletMarginWithDistanceLoss", "torch.multiprocessing.spawn"),
    *("numpy.load", "numpy.fromfile", "numpy.savetxt", "timm.create_model", "timm.models.load_checkpoint", "numba.jit"),
    *("lightning.pytorch.LightningModule.load_from_checkpoint", "lightning.Trainer", "soundfile.write", "joblib.load"),
    *(
        "torchvision.models.resnet18",
        "fsspec.open",
        "matplotlib.pyplot.savefig",
        "rich.console.Console",
        "yaml.unsafe_load",
    ),
    *(CALL, f"{CANARY}.Network", f"{CANARY}.Loss", CANARY, f"{CANARY}.nothing"),
]
INNER = {"_partial_": True, "path": "inner.ckpt", "trust": ["torch"]}
ARGUMENTS = [  # what would reach code or a file, had a class or a function got it
    {"_args_": [CALL]},
    {"_args_": ["touch evil"], "_partial_": False},
    {"_recursive_": False, "_target_": CALL},
    {"_convert_": "object", "anything": {"_target_": CALL}},
    {"anything": {"_target_": CALL, "_partial_": True}},
    {"channels": [{"_target_": CALL}]},
    {"channels": {"a": [[{"class_path": CALL, "init_args": {}}]]}},
    {"feature_dim": {"class_path": CALL}},
    {"feature_dim": "${oc.env:HOME}"},
    {"feature_dim": "${oc.create:{_target_: os.system}}"},
    {"feature_dim": "${hydra:runtime.cwd}"},
    {"feature_dim": "${eval:1}"},
    {"feature_dim": "${.channels}"},
    {"channels": ["${oc.decode:'1'}"]},
    {"${oc.env:HOME}": 1},
    {"path": "inner.ckpt", "trust": ["torch"]},
    {"forward": CALL},
    {"__class__": CALL},
    {"__init__": CALL},
    {"_parent_": CALL},
]


def changed(change):
    """Return an attack that changes the config of the model."""

    def attack(checkpoint):
        change(checkpoint["model_config"])

    return attack


def with_role(role, value):
    def change(config):
        if role == "wrappers":
            config["wrappers"] = {"one": value}
        elif role == "heads":
            config["heads"] = {"default": {"loss": value}}
        else:
            config[role] = value

    return changed(change)


def with_loss(loss):
    return with_role("heads", loss)


def timm(**network):
    return with_role("network", {"_target_": TIMM_BACKBONE, "_partial_": True, "name": "resnet10t", **network})


def spelled(path):
    """Yield the ways to name a class as a loss."""
    yield path
    yield {"_target_": path, "path": "inner.ckpt"}
    yield {"class_path": path, "init_args": {"path": "inner.ckpt"}}
    yield {"_target_": "weighted_multi", "losses": [{"loss": path}]}
    yield {"_target_": "weighted_multi", "losses": [{"loss": {"_target_": path}}, {"loss": "l1"}]}
    yield {
        "_target_": "weighted_multi",
        "losses": [{"loss": {"_target_": "weighted_multi", "losses": [{"loss": path}]}}],
    }
    yield {"_target_": "pre_emphasis", "loss": path}
    yield {"_target_": "pre_emphasis", "loss": {"class_path": path}}
    yield {"_target_": "module", "module": path}
    yield {"_target_": "module", "module": {"_target_": path}}
    yield {"_target_": "src.models.losses.module_loss.ModuleLoss", "module": path, "takes": "value"}
    yield {"_target_": "auraloss", "name_in_auraloss": path}
    yield {"_target_": "auraloss.freq.STFTLoss", "window": path}
    yield {"_target_": "torch.nn.L1Loss", "reduction": path}
    yield {"_target_": "torch.nn.MSELoss", "size_average": {"_target_": path}}
    yield {"_target_": "huber", "delta": {"_target_": path}}
    yield {"_target_": "huber", "delta": {"class_path": path}}
    yield {"_target_": ["huber", path]}
    yield [path]
    yield {"loss": path}


def of_a_state(name, value):
    def attack(checkpoint):
        checkpoint["state_dict"][name] = value

    return attack


def of_the_voice(voice):
    def attack(checkpoint):
        checkpoint["dataset_spec"]["generator"]["config"]["synth"]["voice"] = voice

    return attack


def of_the_spec(**values):
    def attack(checkpoint):
        checkpoint["dataset_spec"] |= values

    return attack


def of_the_first_parameter(**values):
    def attack(checkpoint):
        checkpoint["dataset_spec"]["parameters"][0] |= values

    return attack


class Malice:
    """Unpickled by the letter, it would call the canary."""

    def __reduce__(self):
        import importlib

        return importlib.import_module, (CANARY,)


ATTACKS = {
    **{f"{role} is {path}": with_role(role, {"_target_": path, **INNER})
       for path in FUNCTIONS for role in ("network", "heads")},
    **{f"{role} is {path}": with_role(role, {"_target_": path, **INNER})
       for path in (CALL, "torch.load", "functools.partial") for role in ("optimizer", "scheduler", "wrappers")},
    **{f"network gets {number}": with_role("network", {"_target_": CNN, "_partial_": True, **arguments})
       for number, arguments in enumerate(ARGUMENTS)},
    **{f"optimizer gets {number}": with_role("optimizer", {"_target_": "torch.optim.Adam", **arguments})
       for number, arguments in enumerate(ARGUMENTS)},
    **{f"loss {number} {path}": with_loss(loss) for path in (CALL, f"{CANARY}.Loss", "torch.load", "os.system", "load")
       for number, loss in enumerate(spelled(path))},
    **{f"config gets {key}": changed(lambda config, key=key: config.update({key: {"_target_": CALL}})) for key in
       ("_target_", "_args_", "auxiliary", "balance", "compile", "lr_multipliers", "config", "spec", "more", "heads")},
    "config is a function": changed(lambda config: config.update(_target_="src.models.build.load_checkpoint", **INNER)),
    "config is partial": changed(lambda config: config.update(_partial_=True, _recursive_=False)),
    "config is no class": changed(lambda config: config.pop("_target_")),
    "network is a list": with_role("network", [{"_target_": CALL}]),
    "network is a text": with_role("network", CALL),
    "network in a network": with_role("network", {"_target_": CNN, "network": {"_target_": CALL, "_partial_": True}}),
    "hybrid": with_role("network", {"_target_": "src.models.components.hybrid.HybridBackbone", "_partial_": True,
                                    "transformer": CALL, "transformer_config": {"pretrained": URL}}),
    # timm
    "weights": timm(weights="inner.ckpt"),
    "a name": timm(name="hf-hub:attacker/model"),
    "a directory": timm(name="local-dir:inner.ckpt"),
    "a path": timm(name="/etc/passwd"),
    **{f"option {key}": timm(options={key: value}) for key in (*FILE_OPTIONS, "features_only", "scriptable")
       for value in ("inner.ckpt", True, {"url": URL, "file": "inner.ckpt", "hf_hub_id": "a/b"})},
    **{f"word {word}": timm(options={key: word}) for key in ("act_layer", "norm_layer", "global_pool", "block")
       for word in (CALL, "os.system", "torch.load", URL, "../../x", "__import__")},
    "two options": timm(options={"pretrained": True, "pretrained_cfg": {"url": URL}, "cache_dir": "evil"}),
    # what is described
    **{f"voice {voice}": of_the_voice(voice) for voice in ("os.system", f"{CANARY}.VOICE", CALL, URL, "../x", "")},
    **{f"name {number}": of_the_spec(name=name) for number, name in
       enumerate(("../../x", "/tmp/x", "a/../../b", "a\0b", "a\nb", "..", "C:\\x", "s3://x/y", "\x1b]0;x\a"))},
    **{f"parameter {number}": of_the_first_parameter(name=name) for number, name in
       enumerate(("../../x", "a/b", "<script>alert(1)</script>", "/etc/passwd", "[bold]", "=1+1", "${oc.env:HOME}"))},
    "unit": of_the_first_parameter(unit="<script>alert(1)</script>"),
    "synth type": of_the_spec(synth_type="../../x"),
    "sums": of_the_spec(sha256={"../../x": "0", "train": "../../x"}),
    "origin": of_the_spec(generator={"synth": CALL, "config": {"_target_": CALL}}),
    # weights
    "a name of a weight": of_a_state("../../x", torch.zeros(1)),
    "another name": of_a_state("__class__", torch.zeros(1)),
    "a call as a weight": of_a_state("network.x", {"_target_": CALL}),
}  # fmt: skip


@pytest.fixture(scope="module")
def content(trained):
    """A checkpoint without the optimizer's tensors, which are most of what a test would read."""
    checkpoint = torch.load(trained.best, weights_only=True)
    checkpoint["optimizer_states"] = []
    written = io.BytesIO()
    torch.save(checkpoint, written)
    return written.getvalue()


@pytest.fixture
def inner(tmp_path, trained, monkeypatch):
    """A file of weights beside the checkpoint, that nothing may read in, and the attacker's directory as our own."""
    path = tmp_path / "inner.ckpt"
    path.write_bytes(trained.best.read_bytes())
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_refused_or_has_no_effect(content, inner, tmp_path, attack):
    checkpoint = torch.load(io.BytesIO(content), weights_only=True)
    attack(checkpoint)
    torch.save(checkpoint, tmp_path / "evil.ckpt")
    before = sorted(tmp_path.rglob("*"))
    with guarded(secret=(inner,)):
        try:
            load_checkpoint(tmp_path / "evil.ckpt")
        except UserError as error:
            assert str(error).isprintable() and len(str(error)) <= MOST_LETTERS, str(error)
    assert sorted(tmp_path.rglob("*")) == before


PLACES = [("epoch",), ("loops", "fit_loop"), ("callbacks", "new"), ("optimizer_states",), ("state_dict", "x"), ("run",)]


@pytest.mark.parametrize("place", PLACES, ids="/".join)
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickled_code_is_refused_wherever_it_stands(content, tmp_path, place, protocol):
    checkpoint = torch.load(io.BytesIO(content), weights_only=True)
    holder = checkpoint
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = Malice()
    torch.save(checkpoint, tmp_path / "evil.ckpt", pickle_protocol=protocol)
    with guarded(), pytest.raises(UserError, match="not a tensor or plain value"):
        read_checkpoint(tmp_path / "evil.ckpt", trust=None)


def test_the_attack_works_where_it_is_let_in(tmp_path):
    """Else the tests above would show nothing."""
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Malice()))
    with pytest.raises(AssertionError, match="imported"), guarded():
        pickle.loads((tmp_path / "evil.pkl").read_bytes())


def test_trust_in_one_module_lets_no_other_in(content, tmp_path, monkeypatch):
    (tmp_path / "attacked_nets.py").write_text(
        f"from {CNN.rpartition('.')[0]} import SimpleCNN\nclass Own(SimpleCNN): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    network = {"_target_": "attacked_nets.Own", "_partial_": True}
    for attack in (
        with_role("network", network | {"feature_dim": {"_target_": CALL}}),
        with_role("network", network | {"feature_dim": "${oc.env:HOME}"}),
        with_loss({"_target_": CALL}),
        with_role("optimizer", {"_target_": CALL}),
        of_the_spec(name="../x"),
    ):
        checkpoint = torch.load(io.BytesIO(content), weights_only=True)
        with_role("network", network)(checkpoint)
        attack(checkpoint)
        torch.save(checkpoint, tmp_path / "evil.ckpt")
        with guarded(), pytest.raises(UserError):
            restore_model(read_checkpoint(tmp_path / "evil.ckpt", ["attacked_nets"]))
