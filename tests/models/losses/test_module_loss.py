"""Modules of torch.nn, of auraloss and of the user's own as losses, against the modules called by hand."""

import importlib.util
import pickle

import pytest
import torch
from torch import nn

from src.models.losses import Loss, ModuleLoss, WeightedMultiLoss, create_loss_function
from src.models.losses.known_modules import AURALOSS, TORCH

ROWS, LEVELS = 6, 5
REDUCTIONS = ("none", "mean", "sum")


def logits(rows=ROWS):
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(rows, LEVELS, generator=generator, dtype=torch.float64)
    return prediction, torch.randint(LEVELS, (rows,), generator=generator)


def reals(*shape):
    return torch.randn(2, *(shape or (ROWS,)), generator=torch.Generator().manual_seed(1), dtype=torch.float64).unbind()


def refusal(config, context=None):
    with pytest.raises(ValueError) as raised:
        create_loss_function(config, context)
    assert "\n" not in str(raised.value)
    return str(raised.value)


class Cube(nn.Module):
    """A loss of the user's own, which knows nothing of this project."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def forward(self, prediction, target):
        return self.scale * ((prediction - target).abs() ** 3).mean()


class Declared(Cube):
    """One that says what it takes."""

    takes = "value"


class Keyword(nn.Module):
    """One with a reduction of its own."""

    def __init__(self, reduction="mean", num_classes=None):
        super().__init__()
        self.reduction, self.num_classes = reduction, num_classes

    def forward(self, prediction, target):
        values = (prediction - target) ** 4
        return {"none": values, "mean": values.mean(), "sum": values.sum()}[self.reduction]


READY = Declared(2.0)
HERE = __name__


@pytest.mark.parametrize(
    "config",
    [
        "torch.nn.MSELoss",
        "MSELoss",
        {"_target_": "torch.nn.MSELoss"},
        {"_target_": "torch.nn.modules.loss.MSELoss"},
        {"class_path": "torch.nn.MSELoss"},
        {"class_path": "MSELoss", "init_args": {}},
        {"class_path": "torch.nn.MSELoss", "init_args": {"reduction": "mean"}},
        {"_target_": "module", "module": "torch.nn.MSELoss"},
        {"_target_": "module", "module": {"class_path": "MSELoss"}},
        {"_target_": nn.MSELoss},
        nn.MSELoss,
        nn.MSELoss(),
    ],
    ids=str,
)
def test_every_spelling_is_the_same_loss(config):
    loss = create_loss_function(config)
    assert type(loss) is ModuleLoss and type(loss.module) is nn.MSELoss and loss.takes == ("waveform", "value")
    prediction, target = reals()
    assert loss(prediction, target).item() == nn.MSELoss()(prediction, target).item()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["L1Loss", "MSELoss", "SmoothL1Loss", "torch.nn.HuberLoss"])
@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 40), (ROWS, 2, 40)], ids=str)
def test_distances_of_torch_have_their_own_values(name, reduction, shape):
    prediction, target = reals(*shape)
    loss = create_loss_function({"_target_": name, "reduction": reduction})
    module = getattr(nn, name.removeprefix("torch.nn."))
    expected = module(reduction=reduction)(prediction, target)
    expected = expected.reshape(ROWS, -1).mean(dim=1) if reduction == "none" else expected
    torch.testing.assert_close(loss(prediction, target), expected)
    each = [module(reduction="sum" if reduction == "sum" else "mean")(*pair)
            for pair in zip(prediction, target, strict=True)]  # fmt: skip
    torch.testing.assert_close(loss.values(prediction, target), torch.stack(each))
    assert loss.module.reduction == reduction


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "given", [{}, {"label_smoothing": 0.1}, {"weight": [1, 2, 3, 4, 5]}, {"ignore_index": 0}], ids=str
)
def test_cross_entropy_of_torch_has_its_own_values(given, reduction):
    """Also where its mean is not the mean of its values: with weights, or a level that is left out."""
    prediction, target = logits()
    loss = create_loss_function(
        {"class_path": "torch.nn.CrossEntropyLoss", "init_args": given | {"reduction": reduction}}
    )
    weight = {"weight": torch.tensor(given["weight"]).double()} if "weight" in given else {}
    expected = nn.CrossEntropyLoss(**given | weight, reduction=reduction)(prediction, target)
    found = loss.double()(prediction, target)
    torch.testing.assert_close(found, expected)
    each = nn.CrossEntropyLoss(**given | weight, reduction="none")(prediction, target)
    torch.testing.assert_close(loss.values(prediction, target), each)


def test_weights_of_levels_move_with_the_model_and_are_saved_with_it():
    loss = create_loss_function({"_target_": "torch.nn.CrossEntropyLoss", "weight": [1, 2, 3]})
    assert loss.module.weight.tolist() == [1, 2, 3] and loss.module.weight.dtype == torch.float32
    assert list(loss.state_dict()) == ["module.weight"] and loss.double().module.weight.dtype == torch.float64


@pytest.mark.parametrize("given", [{}, {"pos_weight": [1.0, 2.0, 3.0, 4.0, 5.0]}], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_gets_levels_as_one_hot_rows(given, reduction):
    prediction, target = logits()
    rows = torch.zeros(ROWS, LEVELS, dtype=torch.float64)
    rows[torch.arange(ROWS), target] = 1
    weight = {key: torch.tensor(value).double() for key, value in given.items()}
    each = nn.BCEWithLogitsLoss(**weight, reduction="none")(prediction, rows)
    each = each.sum(dim=1) if reduction == "sum" else each.mean(dim=1)
    loss = create_loss_function({"_target_": "BCEWithLogitsLoss", "reduction": reduction, **given}).double()
    assert loss.takes == ("levels",)
    torch.testing.assert_close(loss.values(prediction, target), each)
    expected = each if reduction == "none" else getattr(each, reduction)()
    torch.testing.assert_close(loss(prediction, target), expected)


def test_logits_of_binary_questions_are_read_as_probabilities_that_sum_to_one():
    prediction = torch.tensor([[0.7, 0.2, 0.1]]).logit()
    read = create_loss_function("BCEWithLogitsLoss").distribution
    torch.testing.assert_close(read(prediction), torch.tensor([[0.7, 0.2, 0.1]]))
    assert torch.isfinite(read(torch.full((1, 3), -1e4))).all()
    assert not hasattr(create_loss_function("torch.nn.CrossEntropyLoss"), "distribution")
    alone = WeightedMultiLoss([{"loss": "BCEWithLogitsLoss"}])
    torch.testing.assert_close(alone.distribution(prediction), torch.tensor([[0.7, 0.2, 0.1]]))
    with pytest.raises(ValueError, match="BCEWithLogitsLoss does not interpret the logits as a softmax; use it"):
        WeightedMultiLoss([{"loss": "cross_entropy"}, {"loss": "BCEWithLogitsLoss"}])


def test_label_smoothing_is_known_to_a_head():
    smooth = create_loss_function({"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.2})
    assert smooth.label_smoothing == 0.2 and create_loss_function("MSELoss").label_smoothing == 0


def test_a_users_own_module_says_what_it_takes_in_the_config_or_in_its_class():
    prediction, target = reals()
    expected = ((prediction - target).abs() ** 3).mean().item()
    for config in (
        {"_target_": f"{HERE}.Cube", "takes": "value"},
        {"_target_": f"{HERE}.Cube", "takes": ["value", "waveform"]},
        {"class_path": f"{HERE}.Cube", "takes": "value"},
        {"_target_": f"{HERE}.Declared"},
        f"{HERE}.Declared",
        {"_target_": "module", "module": {"_target_": f"{HERE}.Cube"}, "takes": "value"},
    ):
        loss = create_loss_function(config)
        assert loss.takes[0] == "value" and loss(prediction, target).item() == pytest.approx(expected)
    twice = create_loss_function({"_target_": f"{HERE}.Cube", "scale": 2.0, "takes": "value"})
    assert twice(prediction, target).item() == pytest.approx(2 * expected)
    for config in (f"{HERE}.READY", {"class_path": f"{HERE}.READY"}, READY):
        assert create_loss_function(config).module is READY
    assert "it is an object, which takes no arguments" in refusal({"_target_": f"{HERE}.READY", "scale": 3})


def test_what_a_module_takes_must_be_said_and_be_possible():
    message = refusal(f"{HERE}.Cube")
    assert message.startswith("Cube: state what it takes, as in takes: value; levels is logits (B, K)")
    assert "Cube: takes: 'gaussian' given; it must be one or more of levels, value, waveform" in refusal(
        {"_target_": f"{HERE}.Cube", "takes": "gaussian"}
    )
    assert "its class already declares this" in refusal({"_target_": "focal", "takes": "value"})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NLLLoss", "torch.nn.CrossEntropyLoss takes logits"),
        ("torch.nn.BCELoss", "torch.nn.BCEWithLogitsLoss takes logits"),
        ("torch.nn.KLDivLoss", "soft_target"),
        ("torch.nn.GaussianNLLLoss", "gaussian_nll"),
        ("torch.nn.CosineEmbeddingLoss", "state what it takes"),
        (
            {"_target_": "torch.nn.CosineEmbeddingLoss", "takes": "value"},
            "it cannot be called with prediction and target",
        ),
        ({"_target_": "torch.nn.Linear", "in_features": 2}, "give out_features as well. It takes in_features"),
        ({"_target_": "torch.nn.L1Loss", "reductoin": "sum"}, "Did you mean 'reduction'? It takes size_average"),
        ({"_target_": "torch.nn.HuberLoss", "delta": "wide"}, "torch.nn.HuberLoss: TypeError: delta must be a float"),
    ],
    ids=str,
)
def test_a_module_that_cannot_be_a_loss_says_what_can(name, words):
    assert words in refusal(name)


def test_a_module_without_a_reduction_is_called_for_one_example_at_a_time():
    prediction, target = reals(ROWS, 3)
    loss = create_loss_function(Declared())
    alone = torch.stack([Cube()(*pair) for pair in zip(prediction, target, strict=True)])
    torch.testing.assert_close(loss.values(prediction, target), alone)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_module_with_a_reduction_gives_all_values_at_once(reduction):
    prediction, target = reals(ROWS, 3)
    module = Keyword(reduction)
    calls = []
    module.register_forward_hook(lambda *_: calls.append(module.reduction))
    values = ModuleLoss(module, "value").values(prediction, target)
    rows = (prediction - target) ** 4
    torch.testing.assert_close(values, rows.sum(dim=1) if reduction == "sum" else rows.mean(dim=1))
    assert calls == ["none"] and module.reduction == reduction


def test_a_module_gets_the_number_of_levels_that_it_asks_for():
    context = {"num_classes": 7, "param_range": (0.0, 1.0)}
    loss = create_loss_function({"_target_": f"{HERE}.Keyword", "takes": "value"}, context)
    assert loss.module.num_classes == 7


def test_modules_inside_a_module_are_built_as_modules():
    class Pair(nn.Module):
        takes = "value"

        def __init__(self, first, others=()):
            super().__init__()
            self.first, self.others = first, nn.ModuleList(others)

        def forward(self, prediction, target):
            return self.first(prediction, target) + sum(one(prediction, target) for one in self.others)

    inner = {"class_path": "torch.nn.MSELoss"}
    loss = create_loss_function({"_target_": Pair, "first": inner, "others": [inner, {"_target_": "huber"}]})
    assert type(loss.module.first) is type(loss.module.others[0]) is nn.MSELoss
    assert type(loss.module.others[1]).__name__ == "HuberLoss"


def test_a_result_that_is_no_tensor_is_told():
    class Two(Declared):
        def forward(self, prediction, target):
            return prediction.mean(), target.mean()

    with pytest.raises(ValueError, match="Two: it returned a tuple; a loss returns one tensor"):
        create_loss_function(Two())(*reals())


def test_a_class_without_a_constructor_of_its_own_is_built():
    class Plain(nn.Module):
        takes = "value"

        def forward(self, prediction, target):
            return (prediction - target).square().mean()

    prediction, target = reals()
    assert create_loss_function(Plain)(prediction, target).item() == nn.MSELoss()(prediction, target).item()
    assert "Plain: TypeError: " in refusal({"_target_": Plain, "scale": 2})


def test_other_losses_of_torch_are_found_by_class_name_and_used_as_the_config_says():
    prediction, target = reals()
    loss = create_loss_function({"_target_": "PoissonNLLLoss", "log_input": True, "takes": "value"})
    assert loss(prediction, target).item() == nn.PoissonNLLLoss()(prediction, target).item()
    assert "state what it takes" in refusal("PoissonNLLLoss")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_widened_and_autocast_is_off(dtype):
    prediction, target = (one.to(dtype) for one in reals())
    expected = nn.MSELoss()(prediction.float(), target.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = create_loss_function("MSELoss")(prediction, target)
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def test_a_module_is_checked_as_any_loss_is():
    for wrong in ((torch.zeros(3, 1), torch.zeros(3)), (torch.zeros(0), torch.zeros(0))):
        with pytest.raises(ValueError, match=r"^MSELoss: prediction .* it takes audio .*; or reals"):
            create_loss_function("MSELoss")(*wrong)


def test_a_module_loss_can_be_pickled():
    loss = pickle.loads(pickle.dumps(create_loss_function("BCEWithLogitsLoss")))
    assert loss.distribution(torch.zeros(1, 4)).tolist() == [[0.25] * 4]


SUM = {  # a loss of an effect model, as such projects write it
    "class_path": "WeightedMultiLoss",
    "init_args": {
        "losses": [
            {"loss": {"class_path": "auraloss.time.ESRLoss"}, "weight": 0.4, "name": "esr"},
            {
                "loss": {
                    "class_path": "auraloss.freq.MultiResolutionSTFTLoss",
                    "init_args": {"fft_sizes": [1024, 2048, 512]},
                },
                "weight": 0.3,
            },
            {"loss": {"class_path": "torch.nn.L1Loss"}, "weight": 0.3, "name": "l1"},
        ]
    },
}


@pytest.mark.parametrize("name", ["WeightedMultiLoss", "nablafx.loss.WeightedMultiLoss", "weighted_multi"])
@pytest.mark.parametrize("shape", [(3, 6000), (3, 2, 6000)], ids=str)
def test_a_sum_of_losses_of_auraloss_and_torch_is_the_sum_of_their_own_values(name, shape):
    import auraloss

    loss = create_loss_function(SUM | {"class_path": name})
    assert loss.takes == ("waveform",) and loss.term_names == ["esr", "MultiResolutionSTFTLoss", "l1"]
    prediction, target = reals(*shape)
    channels = [one.reshape(3, -1, 6000) for one in (prediction, target)]
    own = [auraloss.time.ESRLoss(), auraloss.freq.MultiResolutionSTFTLoss([1024, 2048, 512]), nn.L1Loss()]
    terms = [one(*channels).item() for one in own]
    prediction.requires_grad_()
    found = loss(prediction, target)
    assert [one.item() for one in found.raw.values()] == pytest.approx(terms)
    assert found.total.item() == pytest.approx(0.4 * terms[0] + 0.3 * terms[1] + 0.3 * terms[2])
    found.total.backward()
    assert torch.isfinite(prediction.grad).all() and prediction.grad.any()
    values = loss.values(prediction, target)
    alone = [loss.values(prediction[at : at + 1], target[at : at + 1]) for at in range(3)]
    torch.testing.assert_close(values, torch.cat(alone))
    torch.testing.assert_close(loss(prediction, loss.prepare(target)).total, found.total)


@pytest.mark.parametrize("name", [name for names in AURALOSS.values() for name in names])
def test_every_class_of_auraloss_that_is_listed_takes_waveforms(name):
    home = next(home for home, names in AURALOSS.items() if name in names)
    given = {
        "MelSTFTLoss": {"sample_rate": 16000},
        "ChromaSTFTLoss": {"sample_rate": 16000},
        "RandomResolutionSTFTLoss": {"max_fft_size": 512},
        "SumAndDifferenceSTFTLoss": {"fft_sizes": [256], "hop_sizes": [64], "win_lengths": [256]},
    }.get(name, {})
    if name in ("MelSTFTLoss", "ChromaSTFTLoss") and importlib.util.find_spec("librosa") is None:
        assert "install it with: uv pip install librosa" in refusal({"_target_": f"{home}.{name}", **given})
        return
    loss = create_loss_function({"_target_": f"{home}.{name}", **given})
    assert loss.takes == ("waveform",) and loss.may_be_negative == (name in ("SNRLoss", "SISDRLoss", "SDSDRLoss"))
    prediction, target = (one.float() for one in reals(3, 2, 4000))
    assert loss(prediction, target).isfinite() and loss.values(prediction, target).shape == (3,)


@pytest.mark.parametrize(
    "given",
    [
        {"window": "_import_dotted_name", "win_length": "antigravity"},
        {"window": "load"},
        {"window": "hann_window.__class__"},
        {"fft_size": 2**40},
        {"win_length": 10**9},
        {"win_length": "1024"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["auraloss.freq.STFTLoss", "auraloss"])
def test_arguments_that_auraloss_would_hand_to_any_function_of_torch_are_refused(name, given):
    config = {"_target_": name, **given} | ({"name_in_auraloss": "STFTLoss"} if name == "auraloss" else {})
    assert " given; " in refusal(config)


def test_windows_of_the_random_resolutions_are_checked_too():
    config = {"_target_": "auraloss.freq.RandomResolutionSTFTLoss", "windows": ["hann_window", "load"]}
    assert "windows: 'load' given; it must be one of hann_window" in refusal(config)


def test_an_assertion_without_words_is_told_by_its_line():
    message = refusal({"_target_": "auraloss.freq.MultiResolutionSTFTLoss", "fft_sizes": [1024, 2048]})
    assert "assert len(fft_sizes) == len(hop_sizes) == len(win_lengths)" in message


def test_where_auraloss_is_missing_the_command_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("auraloss.time.ESRLoss", "STFTLoss"):
        assert refusal(name) == f"{name}: auraloss is not installed; install it with: uv pip install auraloss"


@pytest.mark.parametrize("name", TORCH)
def test_what_is_listed_of_torch_is_there_and_takes_what_is_said(name):
    loss = create_loss_function(f"torch.nn.{name}")
    assert isinstance(loss, Loss) and type(loss.module) is getattr(nn, name) and loss.takes == TORCH[name]
