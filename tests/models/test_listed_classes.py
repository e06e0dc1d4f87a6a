"""What a checkpoint may name exists, is harmless whatever it is given, and is all that the shipped configs name."""

import inspect
import typing

import pytest
import torch
import yaml
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from torch import nn

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.listed_classes import LIBRARY_CLASSES, LIBRARY_WORDS, ROLES
from src.models.losses import create_loss_function
from src.models.losses.locate import find
from src.models.trust import is_listed, named_classes, require_allowed
from src.utils.errors import UserError
from tests import running
from tests.models.references import FOUR
from tests.mutation.guard import CANARY, guarded
from tests.test_configs import choices_of

NAMES = sorted({(role, name) for role, names in ROLES.items() for name in names})
CLASSES = [(role, name) for role, name in NAMES if role not in ("heads", "model") or "." in name]  # without short names
GROUPS = ("model", "optimizer", "scheduler", "wrapper", "heads", "experiment")
SHIPPED = [(group, choice) for group in GROUPS for choice in choices_of(group)]
READS_FILES = {"weights"}  # a restored model never reads them: they are taken out of its config
NO_NAMES = {"drop_path", "log_target", "class_counts"}  # of anything: a probability, a switch, numbers
SUSPICIOUS = ("path", "file", "dir", "url", "module", "class", "target", "func", "callable", "hook", "load", "import")
FROM_OUR_CODE = {
    "spec",
    "config",
    "network",
    "task",
    "optimizer",
    "scheduler",
    "wrappers",
    "model",
    "params",
    "context",
    "loss",
}


def object_of(role, name):
    return find(name) if role == "heads" else get_object(name)


def parameters_of(role, name):
    return inspect.signature(object_of(role, name)).parameters


def model_config_in(group, choice):
    """Return what a choice of configs/ puts into a model's config; all but models without what it takes from others."""
    if group == "model":
        return running.plain("train", "model", f"model={choice}")
    content = yaml.safe_load((running.CONFIGS / group / f"{choice}.yaml").read_text())
    if group in ("heads", "optimizer", "scheduler"):
        return {group: content}
    if group == "wrapper":
        return {"wrappers": {choice: content}}
    return content.get("model") or {}


@pytest.mark.parametrize(("group", "choice"), SHIPPED, ids=lambda value: value)
def test_every_class_that_the_shipped_configs_name_is_listed(group, choice):
    config = {key: value for key, value in model_config_in(group, choice).items() if key in ROLES}
    if group not in ("heads", "experiment"):
        assert named_classes(config)
    for role, part in config.items():
        assert named_classes(part) <= ROLES[role]


def test_a_whole_config_is_listed():
    config = running.plain("train", "model")
    assert len(named_classes(config)) >= 4  # the module, its network, its optimizer, its scheduler
    require_allowed(config)
    assert is_listed(config)


@pytest.mark.parametrize(("role", "name"), NAMES, ids=lambda value: value)
def test_what_is_listed_exists_and_is_what_its_role_needs(role, name):
    found = object_of(role, name)
    kinds = dict.fromkeys(("network", "task", "heads", "model"), nn.Module) | {"optimizer": torch.optim.Optimizer}
    if role in kinds:
        assert issubclass(found, kinds[role])
    else:  # schedules and wrappers are called with an optimizer that exists
        assert next(iter(inspect.signature(found).parameters)) == "optimizer"


@pytest.mark.parametrize(("role", "name"), CLASSES, ids=lambda value: value)
def test_no_argument_of_what_is_listed_is_code_or_the_name_of_a_file(role, name):
    for key, one in parameters_of(role, name).items():
        if (
            key in FROM_OUR_CODE | READS_FILES | NO_NAMES
        ):  # the first are no part of a file, or checked in their own role
            continue
        words = str(one.annotation).lower()
        assert "callable" not in words and "pathlib" not in words, (name, key, one.annotation)
        assert not set(key.split("_")) & set(SUSPICIOUS), (name, key)
        inner = typing.get_args(one.annotation) or (one.annotation,)
        assert not any(inspect.isclass(part) and issubclass(part, nn.Module) for part in inner), (name, key)


def test_losses_that_take_a_function_are_not_listed():
    assert "torch.nn.TripletMarginWithDistanceLoss" not in ROLES["heads"]
    assert not {"module", "src.models.losses.ModuleLoss"} & ROLES["heads"]  # it wraps whatever it is given


def build(role, config):
    if role == "heads":
        return create_loss_function(config, {"num_classes": 4, "param_range": (0.0, 1.0)})
    made = instantiate({**config, "_partial_": True})
    if role == "task":
        return made(feature_dim=2, spec=DatasetSpec("t", Inputs((1, 4, 4)), FOUR), heads={}, balance="weights")
    if role == "network":
        return made(in_channels=1, image_size=(32, 32))
    weight = nn.Parameter(torch.zeros(2, 2))
    if role == "optimizer":
        return made([weight])
    optimizer = torch.optim.SGD([weight], lr=0.1)
    return made(optimizer, total_steps=10) if role == "scheduler" else made(optimizer, nn.Linear(2, 2))


@pytest.mark.parametrize(("role", "name"), [one for one in CLASSES if one[0] != "model"], ids=lambda value: value)
def test_the_name_of_code_in_any_argument_is_refused_or_never_looked_up(role, name, tmp_path):
    call = {"_target_": f"{CANARY}.call"}
    with guarded(tmp_path):
        keys = {*parameters_of(role, name), "anything"} - READS_FILES  # restore_model removes these
        for key in sorted(keys):
            for value in (f"{CANARY}.call", [f"{CANARY}.Network"], {"a": f"{CANARY}.Loss"}, call, [call], {"a": call}):
                config = {"_target_": name, key: value}
                try:
                    require_allowed({role: {"default": {"loss": config}} if role == "heads" else config})
                    build(role, config)
                except (UserError, ValueError, TypeError, AttributeError, LookupError, RuntimeError):
                    continue
                except InstantiationException:  # Hydra's, around one of those
                    continue


@pytest.mark.parametrize("name", sorted(LIBRARY_CLASSES))
def test_a_class_of_another_package_takes_no_words_but_the_listed_ones(name):
    role = "optimizer" if name in ROLES["optimizer"] else "heads"
    for value in ("load", "/etc/passwd", "set_num_threads", ["hann_window", "load"], {"deeper": ["cuda:0"]}):
        config = {"_target_": name, "argument": value}
        with pytest.raises(UserError, match="given; give one of"):
            require_allowed({role: {"default": {"loss": config}} if role == "heads" else config})


def test_the_words_are_no_names_of_code():
    for word in LIBRARY_WORDS:
        assert "." not in word and "/" not in word
    windows = {f"{name}_window" for name in ("hann", "hamming", "blackman", "bartlett")}  # which auraloss looks up
    assert {word for word in LIBRARY_WORDS if hasattr(torch, word)} == {*windows, "mean", "sum", "full"}
