"""Losses from configs: every spelling gives the same loss, and a wrong one gives one clear line."""

import inspect

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn

from src.models.losses import (
    FocalLoss,
    HuberLoss,
    Loss,
    NormalizedRegressionLoss,
    OrdinalRegressionLoss,
    WeightedCrossEntropyLoss,
    WeightedMultiLoss,
    create_loss_function,
    is_loss_name,
    loss_names,
    named_paths,
)
from src.models.losses.factory import _NAMING
from src.models.losses.levels.soft_target import SoftTargetLoss
from src.models.losses.sound.pre_emphasis import PreEmphasisLoss
from src.models.losses.values.distance import DistanceLoss


def refusal(config, context=None):
    with pytest.raises(ValueError) as raised:
        create_loss_function(config, context)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    "config",
    [
        {"_target_": "focal", "gamma": 1.5},
        {"_target_": "src.models.losses.FocalLoss", "gamma": 1.5},
        {"_target_": "src.models.losses.levels.focal.FocalLoss", "gamma": 1.5},
        {"class_path": "focal", "init_args": {"gamma": 1.5}},
        {"class_path": "src.models.losses.FocalLoss", "init_args": {"gamma": 1.5}},
        OmegaConf.create({"_target_": "focal", "gamma": 1.5}),
        OmegaConf.create({"g": 1.5, "loss": {"_target_": "focal", "gamma": "${g}"}}).loss,
        OmegaConf.create({"class_path": "src.models.losses.levels.focal.FocalLoss", "init_args": {"gamma": 1.5}}),
    ],
    ids=str,
)
def test_every_spelling_is_the_same_loss(config):
    loss = create_loss_function(config)
    assert type(loss) is FocalLoss and loss.gamma == 1.5 and loss.reduction == "mean"


def test_a_config_is_left_as_it_was():
    config = {"class_path": "focal", "init_args": {"gamma": 1.5}}
    create_loss_function(config)
    assert config == {"class_path": "focal", "init_args": {"gamma": 1.5}}


@pytest.mark.parametrize("config", ["focal", "src.models.losses.FocalLoss", {"class_path": "focal"}])
def test_a_name_alone_takes_the_defaults(config):
    loss = create_loss_function(config)
    assert type(loss) is FocalLoss and loss.gamma == 2.0


def test_a_loss_is_returned_as_it_is():
    loss = HuberLoss(delta=0.25)
    assert create_loss_function(loss) is loss


@pytest.mark.parametrize(("name", "p"), [("l1", 1), ("l2", 2)])
def test_l1_and_l2_are_distances_that_take_further_arguments(name, p):
    one, other = (create_loss_function(config) for config in (name, {"_target_": name, "reduction": "sum"}))
    assert type(one) is type(other) is DistanceLoss and one.p == other.p == p
    assert (one.reduction, other.reduction) == ("mean", "sum")
    assert create_loss_function(name)(torch.zeros(2), torch.tensor([1.0, 3.0])).item() == (2 if p == 1 else 5)


def test_every_short_name_is_listed_and_is_its_class():
    assert loss_names() == sorted(loss_names()) and {"l1", "l2", "focal", "crps", "weighted_multi"} <= set(loss_names())
    assert all(map(is_loss_name, [*loss_names(), "FocalLoss", "MSELoss", "STFTLoss"]))
    assert not any(map(is_loss_name, ["focl", "os", "torch.nn.MSELoss", "src.models.losses.FocalLoss", ""]))
    for name, loss_class in Loss.registry.items():
        found = refusal({"_target_": name, "no_such_argument": 1}) if name != "auraloss" else name
        assert found.startswith(name)
        for path in (f"{loss_class.__module__}.{loss_class.__name__}", f"src.models.losses.{loss_class.__name__}"):
            if loss_class.__module__.startswith("src.") and name != "auraloss":
                assert refusal({"_target_": path, "no_such_argument": 1}).startswith(f"{path}: no argument")


def test_a_nested_loss_is_built_too_however_it_is_spelled():
    for inner in (
        {"_target_": "huber", "delta": 0.25},
        {"class_path": "src.models.losses.HuberLoss", "init_args": {"delta": 0.25}},
        HuberLoss(0.25),
    ):
        loss = create_loss_function({"_target_": "pre_emphasis", "coefficient": 0.85, "loss": inner})
        assert type(loss) is PreEmphasisLoss and type(loss.loss) is HuberLoss
        assert (loss.coefficient, loss.loss.delta) == (0.85, 0.25)
    loss = create_loss_function({"_target_": "src.models.losses.PreEmphasisLoss", "loss": "l2"})
    assert type(loss.loss) is DistanceLoss and loss.loss.p == 2


def test_a_fault_of_a_nested_loss_is_told():
    nested = {"_target_": "pre_emphasis", "loss": {"_target_": "hubert"}}
    assert "Unknown loss function target: hubert. Did you mean 'huber'?" in refusal(nested)
    assert (
        "pre_emphasis: loss: FocalLoss takes levels, probabilities, maps; give a loss that takes waveforms"
        in refusal({"_target_": "pre_emphasis", "loss": "focal"})
    )


def test_context_fills_what_the_config_leaves_open():
    context = {"num_classes": 5, "param_range": (2.0, 4.0), "unknown": object()}
    assert create_loss_function("weighted_cross_entropy", context).price.shape == (5, 5)
    assert create_loss_function("ordinal_regression", context).distance.scale == pytest.approx(2 / 4)
    given = {"_target_": "ordinal_regression", "num_classes": 3, "param_range": [0, 1]}
    assert create_loss_function(given, context).distance.scale == pytest.approx(1 / 2)
    half = {"_target_": "ordinal_regression", "param_range": 1.0}
    assert create_loss_function(half, context).distance.scale == pytest.approx(1 / 4)
    assert create_loss_function("normalized_regression", context).low == 2.0
    assert create_loss_function("huber", context).delta == 1.0  # which takes none of it


def test_context_reaches_nested_losses():
    losses = [
        {"loss": "weighted_cross_entropy"},
        {"loss": {"_target_": "weighted_multi", "losses": [{"loss": "crps"}]}},
    ]
    losses += [{"loss": {"_target_": "weighted_multi", "losses": [{"loss": "ordinal_regression"}]}, "name": "other"}]
    loss = create_loss_function(
        {"_target_": "weighted_multi", "losses": losses}, {"num_classes": 4, "param_range": 2.0}
    )
    assert loss.losses[0].price.shape == (4, 4) and loss.losses[2].losses[0].distance.scale == pytest.approx(2 / 3)


@pytest.mark.parametrize("config", [{}, {"gamma": 2}, {"target": "focal"}, OmegaConf.create({"gamma": 2})])
def test_a_mapping_without_a_target_says_which_key_is_missing(config):
    assert refusal(config).startswith("a loss config needs the key _target_")


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("focl", "focal"),
        ("src.models.losses.FocallLoss", "FocalLoss"),
        ("src.models.losses.levels.focal.FocallLoss", "FocalLoss"),
        ("ordinal_regresion", "ordinal_regression"),
        ("src.models.losses.OrdinalRegresionLoss", "OrdinalRegressionLoss"),
        ("src.models.losses.no_such.CRPSLos", "CRPSLoss"),
    ],
)
@pytest.mark.parametrize("spelled", [lambda t: t, lambda t: {"_target_": t}, lambda t: {"class_path": t}])
def test_an_unknown_target_is_told_with_the_nearest_name(target, meant, spelled):
    told, _, cause = refusal(spelled(target)).partition(" (")
    assert told == f"Unknown loss function target: {target}. Did you mean '{meant}'?"
    assert bool(cause) == (target.startswith("src.") and target.count(".") > 3)  # what is missing there


@pytest.mark.parametrize("target", ["zzzz", "", "no.such.thing", "src.models.losses."])
def test_a_target_like_none_lists_all(target):
    message = refusal({"_target_": target})
    assert (
        message.startswith(f"Unknown loss function target: {target}. Known: auraloss, ") and "cross_entropy" in message
    )


NO_MODULES = [
    "collections.OrderedDict",
    "src.models.losses.base.Loss",
    "os.system",
    "torch.nn.functional.l1_loss",
    "src.models.losses.factory.create_loss_function",
]


@pytest.mark.parametrize("target", NO_MODULES)
def test_what_is_no_class_of_a_module_is_refused_and_never_called(target):
    message = refusal({"_target_": target})
    assert message.startswith(f"Unknown loss function target: {target}. It is not a torch.nn.Module class")


@pytest.mark.parametrize("target", ["focal", "src.models.losses.FocalLoss"])
def test_an_unknown_argument_is_told_with_those_there_are(target):
    message = refusal({"_target_": target, "gama": 2})
    names = "gamma, alpha, class_counts, beta, label_smoothing, num_classes, reduction"
    assert message == f"{target}: no argument 'gama'. Did you mean 'gamma'? It takes {names}."


def test_a_required_argument_that_is_missing_is_told():
    message = refusal("ordinal_regression")
    assert message.startswith("ordinal_regression: give num_classes, param_range as well. It takes num_classes, ")
    message = refusal("ordinal_regression", {"num_classes": 4})
    assert message.startswith("ordinal_regression: give param_range as well. It takes ")
    assert "give loss as well" in refusal("pre_emphasis")


def test_an_argument_out_of_range_names_the_loss():
    assert refusal({"_target_": "focal", "gamma": -1}) == "focal: gamma: -1 given; it must be at least 0"
    assert refusal({"_target_": "huber", "delta": "wide"}).startswith("huber: ")


def test_keys_beside_class_path_are_refused():
    message = refusal({"class_path": "focal", "gamma": 2})
    assert message == "focal: no key 'gamma' with class_path; arguments go into init_args"


@pytest.mark.parametrize("config", [3, None, ["focal"], 1.5])
def test_what_is_neither_name_nor_mapping_is_refused(config):
    assert refusal(config).startswith(f"a loss is a name or a mapping, not {config!r}; give one of ")


def test_a_loss_of_the_users_own_is_found_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "my_losses.py").write_text(
        "from src.models.losses.base import Loss\n\n\n"
        "class OwnLoss(Loss, name='own_of_test', takes=('value',)):\n"
        "    def per_example(self, prediction, target):\n"
        "        return 3 * (prediction - target).abs()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        loss = create_loss_function({"_target_": "my_losses.OwnLoss", "reduction": "sum"})
        assert loss(torch.zeros(2), torch.ones(2)).item() == 6
        assert create_loss_function("own_of_test")(torch.zeros(2), torch.ones(2)).item() == 3
    finally:
        Loss.registry.pop("own_of_test", None)


def test_names_that_existing_configs_use_are_there():
    for loss_class in (NormalizedRegressionLoss, OrdinalRegressionLoss, WeightedCrossEntropyLoss):
        given = {"_target_": f"src.models.losses.{loss_class.__name__}"}
        assert type(create_loss_function(given, {"num_classes": 4, "param_range": (0, 1)})) is loss_class


def test_paths_in_configs_of_earlier_projects_lead_to_the_same_losses():
    sum_of_one = {"class_path": "nablafx.loss.WeightedMultiLoss", "init_args": {"losses": [{"loss": "l1"}]}}
    assert type(create_loss_function(sum_of_one)) is WeightedMultiLoss
    soft = {"_target_": "src.models.soft_target_loss.SoftTargetLoss", "num_classes": 10, "mode": "gaussian"}
    assert type(create_loss_function(soft)) is SoftTargetLoss


@pytest.mark.parametrize("name", ["WeightedMultiLoss", "src.models.losses.WeightedMultiLoss"])
@pytest.mark.parametrize("spelled", ["_target_", "class_path"])
def test_a_class_name_of_this_project_is_a_name_too(name, spelled):
    arguments = {"losses": [{"loss": "HuberLoss"}, {"loss": {spelled: "DistanceLoss"}}]}
    config = {"_target_": name, **arguments} if spelled == "_target_" else {"class_path": name, "init_args": arguments}
    loss = create_loss_function(config)
    assert type(loss) is WeightedMultiLoss and [type(one) for one in loss.losses] == [HuberLoss, DistanceLoss]
    message = refusal(name)
    assert message.startswith(f"{name}: give losses as well.") and "Did you mean" not in message


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's: write its code, import it by name, and forget the losses in it."""
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(Loss.registry)

    def write(name, code):
        (tmp_path / f"{name}.py").write_text(code)

    yield write
    Loss.registry.clear()
    Loss.registry.update(before)


@pytest.mark.parametrize(
    ("name", "code", "cause"),
    [
        (
            "bare_loss",
            "from src.models.losses import Loss\nclass Own(Loss): pass\n",
            "Own: a loss needs a name, what it",
        ),
        ("needs_more", "import no_such_package_here\n", "No module named 'no_such_package_here'"),
        ("has_a_typo", "class Own(:\n", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(own, name, code, cause):
    own(name, code)
    message = refusal(f"{name}.Own")
    assert message.startswith(f"{name}.Own: its module cannot be imported: ") and cause in message


def test_what_a_path_lacks_is_told(own):
    own("empty_here", "")
    assert refusal("empty_here.Own").endswith("(empty_here has no Own)")
    assert refusal("empty_here.inner.Own").endswith("(empty_here has no inner)")
    assert refusal("not_here.Own").endswith("(there is no module not_here)")
    assert "it is not a dotted path" in refusal("empty_here.Own.")
    assert "it is not a dotted path" in refusal("os; touch x.Own")


def test_strange_names_are_escaped_and_cut():
    message = refusal("fo\x1b[31mcal\nloss" + "x" * 10_000)
    assert "\x1b" not in message and len(message) < 2_000
    assert len(refusal({"_target_": "focal", "gamma": [1] * 10_000})) < 300
    assert len(refusal({"_target_": "focal", "x" * 10_000: 1})) < 500


def nested(depth):
    config = "l1"
    for _ in range(depth):
        config = {"_target_": "weighted_multi", "losses": [{"loss": config, "name": "inner"}]}
    return config


def test_configs_inside_one_another_have_a_limit():
    assert type(create_loss_function(nested(16))) is WeightedMultiLoss
    for depth in (17, 300):
        assert "the config of a loss is nested too deeply" in refusal(nested(depth))


@pytest.mark.parametrize("given", [3, None, ["focal"], nn.ReLU, int])
def test_a_target_that_is_no_name_and_no_class_of_a_module_is_refused(given):
    if given is nn.ReLU:  # a class of a module, but its call takes no target
        assert "ReLU" in refusal({"_target_": given})
    else:
        assert refusal({"_target_": given}).startswith(
            f"_target_: {given!r} given; give a name, a dotted path or a sub"
        )


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        ("focal", {"src.models.losses.levels.focal.FocalLoss"}),
        ("FocalLoss", {"src.models.losses.levels.focal.FocalLoss"}),
        ("src.models.losses.FocalLoss", {"src.models.losses.levels.focal.FocalLoss"}),
        ("l2", {"src.models.losses.values.distance.DistanceLoss"}),
        ("MSELoss", {"torch.nn.MSELoss"}),
        ("HuberLoss", {"src.models.losses.values.distance.HuberLoss"}),
        ("STFTLoss", {"auraloss.freq.STFTLoss"}),
        ({"class_path": "torch.nn.MSELoss"}, {"torch.nn.MSELoss"}),
        (torch.nn.MSELoss, {"torch.nn.modules.loss.MSELoss"}),
        (OmegaConf.create({"_target_": "os.system"}), {"os.system"}),
        ({"losses": OmegaConf.create([{"loss": {"x": [{"class_path": "a.B"}]}}])}, {"a.B"}),
        ({"_target_": "a.B", "deep": [{"x": ({"class_path": "c.D"},)}]}, {"a.B", "c.D"}),
        ({"_target_": "a.B", "class_path": "c.D"}, {"a.B", "c.D"}),
        ({"_target_": "pre_emphasis", "loss": "e.F"}, {"src.models.losses.sound.pre_emphasis.PreEmphasisLoss", "e.F"}),
        ({"_target_": "module", "module": "e.F"}, {"src.models.losses.module_loss.ModuleLoss", "e.F"}),
        (
            {
                "class_path": "WeightedMultiLoss",
                "init_args": {"losses": [{"loss": "g.H"}, {"loss": {"_target_": "i"}}]},
            },
            {"src.models.losses.combine.weighted_multi.WeightedMultiLoss", "g.H", "i"},
        ),
        (None, set()),
        (3, set()),
    ],
)
def test_all_classes_that_a_config_names_are_told_without_an_import(config, paths, monkeypatch):
    monkeypatch.setattr("importlib.import_module", None)
    assert named_paths(config) == paths


def test_every_argument_that_becomes_a_loss_or_a_module_is_among_the_keys_that_name_classes():
    for loss_class in Loss.registry.values():
        for name, parameter in inspect.signature(loss_class).parameters.items():
            if parameter.annotation in (Loss, nn.Module):
                assert name in _NAMING, (loss_class, name)


OTHER_NAMES = ["MSELoss", "torch.nn.CrossEntropyLoss", "BCEWithLogitsLoss", "auraloss.freq.STFTLoss", "STFTLoss"]
NO_NAMES = ["os.system", "torch.nn", "a..b", "", "\0", "nablafx.loss.WeightedMultiLoss"]
NAMES = st.sampled_from([*loss_names(), *OTHER_NAMES, *NO_NAMES])
OWN_ARGUMENTS = {name for one in Loss.registry.values() for name in inspect.signature(one).parameters} - {"context"}
OTHER_ARGUMENTS = ["weight", "pos_weight", "window", "fft_size", "win_length", "takes", "resolutions", "\x1b[31m"]
ARGUMENTS = st.sampled_from([*sorted(OWN_ARGUMENTS), *OTHER_ARGUMENTS])
NUMBERS = [0, 1, -1, 3, 0.5, 1e308, -1e308, float("nan"), float("inf"), 10**9, 2**40, 10**30, True, None]
WORDS = ["mean", "value", "hann_window", "\x1b[31m\n", "9" * 300]
PLAIN = st.sampled_from([*NUMBERS, *WORDS, [1, 2, 3], [1024, 2048, 512], [], {}])


def configs(inner):
    arguments = st.dictionaries(ARGUMENTS, inner, max_size=3)
    entries = st.lists(st.fixed_dictionaries({"loss": inner}, optional={"weight": inner, "name": inner}), max_size=2)
    sums = st.builds(lambda losses: {"_target_": "weighted_multi", "losses": losses}, entries)
    spelled = st.builds(lambda name, given: {"_target_": name, **given}, NAMES, arguments)
    other = st.builds(lambda name, given, takes: {"class_path": name, "init_args": given, "takes": takes},
                      NAMES, st.one_of(arguments, inner), inner)  # fmt: skip
    return st.one_of(NAMES, spelled, other, sums)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.recursive(PLAIN, configs, max_leaves=8))
def test_any_config_gives_a_loss_or_one_line(config):
    named_paths(config)
    try:
        assert isinstance(create_loss_function(config, {"num_classes": 7, "param_range": (0.0, 1.0)}), Loss)
    except ValueError as error:
        message = str(error)
        assert "\n" not in message and "\x1b" not in message and len(message) < 6_000
