"""All heads together: one product, what each says in order, and configs whose faults name the key."""

import numpy as np
import pytest
import torch

from src.models.heads import LevelHead
from src.models.multi_head import MultiHead, head_configs
from src.synth.parameters import ParameterSpace, ParameterSpec
from src.utils.errors import UserError

LIN = ParameterSpec(name="level", min=-2, max=6, step=0.5)
LOG = ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log")
CUT = ParameterSpec(name="resonance", min=0.3, max=0.85, step=0.1)
WAVE = ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical")
SPACE = ParameterSpace([LIN, LOG, CUT, WAVE])
KINDS = {
    "regression": {"kind": "regression"},
    "gaussian": {"kind": "regression", "variance": True},
    "classification": {"kind": "classification"},
    "levels": {"kind": "classification", "levels": 256},
    "ordinal": {"kind": "ordinal"},
    "coral": {"kind": "coral"},
    "corn": {"kind": "corn"},
    "categorical": {"kind": "categorical"},
    "mixture": {"kind": "mixture", "components": 2},
    "evidential": {"kind": "evidential"},
}
# one head of every kind behind one layer
EVERY = ParameterSpace(ParameterSpec(name=name, min=1, max=9, step=0.5, scale="log") for name in KINDS)
MULTI = {
    "_target_": "weighted_multi",
    "losses": [{"loss": "l1", "weight": 0.5, "name": "near"}, {"loss": "l2", "weight": 3, "name": "far"}],
}


def heads_of(config, space=SPACE, **given):
    torch.manual_seed(0)
    return MultiHead(7, space, head_configs(space, config), **given)


def features(rows=9):
    return torch.from_numpy(3 * np.random.default_rng(0).standard_normal((rows, 7))).float()


def targets(rows=9, columns=4):
    return torch.from_numpy(np.random.default_rng(1).uniform(0, 1, (rows, columns))).float()


def equal(one, other):
    return torch.equal(torch.nan_to_num(one, nan=-1e9), torch.nan_to_num(other, nan=-1e9))


def test_multihead_is_one_linear_layer():
    heads = heads_of({"cutoff": {"kind": "classification", "weight": 2.5}, "resonance": {"variance": True}})
    outputs = heads(features(5))
    sizes = {"level": 1, "cutoff": 100, "resonance": 2, "wave": 4}
    assert {name: out.shape[1] for name, out in outputs.items()} == sizes
    full = features(5).double().numpy() @ heads.linear.weight.detach().double().numpy().T
    full += heads.linear.bias.detach().double().numpy()
    starts = np.cumsum([0, *sizes.values()])
    for (name, out), start in zip(outputs.items(), starts[:-1], strict=True):
        np.testing.assert_allclose(out.detach(), full[:, start : start + sizes[name]], atol=1e-5)
    assert heads.weights.tolist() == [1.0, 2.5, 1.0, 1.0]


def test_multihead_stacks_what_each_head_says_in_the_order_of_the_space():
    heads = heads_of(KINDS, EVERY)
    outputs, target = heads(features()), targets(columns=len(EVERY))
    values, levels, (losses, terms) = heads.values(outputs), heads.levels(outputs), heads.losses(outputs, target)
    distributions, doubts = heads.distributions(outputs), heads.uncertainties(outputs)
    count = len(EVERY)
    assert (values.shape, levels.shape, losses.shape, doubts.shape) == ((9, count), (9, count), (count,), (9, count))
    assert (values.dtype, levels.dtype, doubts.dtype) == (torch.float32, torch.int64, torch.float32)
    assert torch.equal(losses.detach(), terms) and not terms.requires_grad
    assert list(distributions) == list(KINDS)
    for at, (name, head) in enumerate(heads.heads.items()):
        assert torch.equal(values[:, at], head.value(outputs[name]))
        assert torch.equal(levels[:, at], head.level(outputs[name]))
        assert torch.equal(losses[at], head.loss(outputs[name], target[:, at])[0])
        if name == "regression":
            assert distributions[name] is None and doubts[:, at].isnan().all()
        else:
            assert torch.equal(distributions[name], head.distribution(outputs[name]))
            assert torch.equal(doubts[:, at], head.uncertainty(outputs[name])) and (doubts[:, at] > 0).all()


def test_a_head_without_a_distribution_doubts_as_much_as_it_erred_at_the_last_validation():
    heads = heads_of({"cutoff": {"kind": "classification"}})
    outputs = heads(features())
    assert heads.uncertainties(outputs).isnan().all(dim=0).tolist() == [True, False, True, False]
    before = heads.uncertainties(outputs)[:, 1]
    heads.residuals.copy_(torch.tensor([0.25, 1e9, 0.5, 1e9]))
    found = heads.uncertainties(outputs)
    assert (found[:, 0] == 0.25).all() and (found[:, 2] == 0.5).all() and torch.equal(found[:, 1], before)


def test_half_precision_outputs_are_judged_in_float32():
    heads = heads_of(KINDS, EVERY)
    outputs = {name: out.bfloat16() for name, out in heads(features()).items()}
    exact = {name: out.float() for name, out in outputs.items()}
    target = targets(columns=len(EVERY))
    assert torch.equal(heads.losses(outputs, target)[0], heads.losses(exact, target)[0])
    assert torch.equal(heads.values(outputs), heads.values(exact))
    assert equal(heads.uncertainties(outputs), heads.uncertainties(exact))


def kinds_for(balance):
    """Return the kinds of heads whose losses a balance takes: learned weights need losses above 0."""
    likelihoods = {"mixture", "evidential"}
    if balance != "uncertainty":
        return KINDS
    return {name: one for name, one in KINDS.items() if not (one.get("variance") or one.get("kind") in likelihoods)}


@pytest.mark.parametrize("balance", ["weights", "gradient", "uncertainty"])
def test_autocast_changes_nothing_of_what_the_outputs_mean(balance):
    heads = heads_of(kinds_for(balance) | {"regression": {"loss": MULTI}}, EVERY, balance=balance)
    given, target = features().requires_grad_(), targets(columns=len(EVERY))
    outputs = heads(given)

    def read():
        losses, terms = heads.losses(outputs, target)
        state = {name: value.clone() for name, value in heads.balance.state_dict().items()}
        total = heads.total(losses, given)
        heads.balance.load_state_dict(state)
        found = [losses, terms, total, heads.values(outputs), heads.uncertainties(outputs)]
        found += [one for one in heads.distributions(outputs).values() if one is not None]
        return [*found, heads.levels(outputs)]

    plain = read()
    with torch.autocast("cpu", torch.bfloat16):
        cast = read()
        assert torch.is_autocast_enabled("cpu")
        assert next(iter(heads(given).values())).dtype == torch.bfloat16  # else this would test nothing
    assert [one.dtype for one in cast] == [torch.float32] * (len(cast) - 1) + [torch.int64]
    assert all(equal(one, other) for one, other in zip(plain, cast, strict=True))


def test_an_example_counts_the_same_in_any_batch():
    heads = heads_of(KINDS, EVERY)
    given, target = features(12), targets(12, len(EVERY))
    whole, _ = heads.losses(heads(given), target)
    parts = [heads.losses(heads(given[rows]), target[rows])[0] for rows in (slice(0, 1), slice(1, 12))]
    torch.testing.assert_close(whole, (parts[0] + 11 * parts[1]) / 12, rtol=1e-4, atol=1e-5)


def test_terms_of_nested_losses_stand_under_their_own_names():
    inner = {"_target_": "weighted_multi", "losses": [{"loss": "l1"}, {"loss": "l2"}]}
    loss = {"_target_": "weighted_multi", "losses": [{"loss": inner, "name": "inner"}, {"loss": "huber"}]}
    heads = heads_of({"level": {"loss": loss}})
    outputs, target = heads(features()), targets()
    found = dict(zip(heads.term_names, heads.losses(outputs, target)[1].tolist(), strict=True))
    alone = heads.heads["level"].loss_function(*heads.heads["level"].feed(outputs["level"], target[:, 0]))
    assert {f"level/{name}": value.item() for name, value in alone.raw.items()}.items() <= found.items()


def test_terms_of_compound_losses_follow_the_heads():
    heads = heads_of({"level": {"loss": MULTI}, "resonance": {"loss": MULTI, "weight": 2}})
    names = ["level", "cutoff", "resonance", "wave", "level/near", "level/far", "resonance/near", "resonance/far"]
    assert heads.term_names == names
    given, target = features(), targets()
    outputs = heads(given)
    losses, terms = heads.losses(outputs, target)
    found = dict(zip(names, terms.tolist(), strict=True))
    for at, name in ((0, "level"), (2, "resonance")):
        unit = 1.2 / (1 + np.exp(-outputs[name].detach().double().numpy()[:, 0])) - 0.1
        error = np.abs(unit - target[:, at].double().numpy())
        assert found[f"{name}/near"] == pytest.approx(error.mean(), rel=1e-5)
        assert found[f"{name}/far"] == pytest.approx((error**2).mean(), rel=1e-5)
        assert found[name] == pytest.approx((0.5 * error + 3 * error**2).mean(), rel=1e-5)
    assert not terms.requires_grad and losses.requires_grad
    expected = found["level"] + found["cutoff"] + 2 * found["resonance"] + found["wave"]
    assert heads.total(losses, given).item() == pytest.approx(expected, rel=1e-5)


def test_balance_by_gradient_gives_each_head_its_weight_as_share_of_the_features_gradient():
    """The level's loss is a thousand times the cutoff's, yet pulls half as hard; the sum of norms is 1."""
    wide = {"_target_": "normalized_regression", "param_range": [50, 5000]}
    config = {"level": {"weight": 1}, "cutoff": {"weight": 2, "loss": wide}, "wave": {"weight": 0}}
    heads = heads_of(config, balance="gradient").train()
    given = features().requires_grad_()
    losses, _ = heads.losses(heads(given), targets())
    assert losses[1] > 1000 * losses[2]
    total = heads.total(losses, given)
    factors = torch.autograd.grad(total, losses, retain_graph=True)[0]
    alone = [torch.autograd.grad(one, given, retain_graph=True)[0] for one in losses]
    pull = [(factor * one).norm(dim=1).mean().item() for factor, one in zip(factors, alone, strict=True)]
    assert pull == pytest.approx([0.25, 0.5, 0.25, 0.0], rel=1e-4)
    heads.eval()
    assert torch.autograd.grad(heads.total(losses, given), losses)[0].tolist() == [1.0, 2.0, 1.0, 0.0]


def test_balance_by_uncertainty_divides_each_loss_by_what_is_learned():
    heads = heads_of({"cutoff": {"weight": 3}}, balance="uncertainty")
    with torch.no_grad():
        heads.balance.log_variances.copy_(torch.tensor([-1.0, 0.5, 2.0, 0.0]))
    given = features()
    losses, _ = heads.losses(heads(given), targets())
    s, weights = np.array([-1.0, 0.5, 2.0, 0.0]), np.array([1.0, 3.0, 1.0, 1.0])
    expected = (weights / 2 * (np.exp(-s) * losses.detach().double().numpy() + s)).sum()
    assert heads.total(losses, given).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("balance", ["weights", "gradient", "uncertainty"])
def test_every_weight_of_every_kind_gets_a_finite_gradient(balance):
    heads = heads_of(kinds_for(balance), EVERY, balance=balance)
    given = features(50).requires_grad_()
    heads.total(heads.losses(heads(given), targets(50, len(EVERY)))[0], given).backward()
    for name, parameter in heads.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.reshape(len(parameter), -1).abs().amax(dim=1).all(), name


def test_state_holds_what_is_learned_and_nothing_that_the_config_tells():
    assert set(heads_of({"cutoff": {"kind": "classification"}}).state_dict()) == {
        "linear.weight",
        "linear.bias",
        "residuals",
    }
    more = set(heads_of({"cutoff": {"kind": "coral"}}, balance="uncertainty").state_dict())
    assert more == {"linear.weight", "linear.bias", "residuals", "_heads.1.thresholds", "balance.log_variances"}


def test_an_unknown_balance_is_one_line():
    with pytest.raises(UserError, match=r"^model.balance: 'gradnorm' given; one of weights, gradient, uncertainty$"):
        heads_of({}, balance="gradnorm")


def test_configs_come_from_the_default_and_each_heads_own():
    configs = head_configs(SPACE, {"default": {"loss": "huber", "weight": 3}, "cutoff": {"weight": 0.5, "loss": "l2"}})
    assert (configs["level"].loss, configs["level"].weight) == ("huber", 3)
    assert (configs["cutoff"].loss, configs["cutoff"].weight) == ("l2", 0.5)
    assert list(configs) == list(SPACE.names)


def test_a_kind_of_its_own_takes_nothing_but_the_weight_from_the_default():
    default = {"kind": "classification", "loss": "focal", "levels": 64, "weight": 2.0}
    configs = head_configs(SPACE, {"default": default, "cutoff": {"kind": "regression"}, "level": {"loss": "crps"}})
    cutoff, level, wave = configs["cutoff"], configs["level"], configs["wave"]
    assert (cutoff.kind, cutoff.loss, cutoff.levels, cutoff.weight) == ("regression", None, "step", 2.0)
    assert (level.kind, level.loss, level.levels, level.weight) == ("classification", "crps", 64, 2.0)
    assert (wave.kind, wave.loss, wave.levels, wave.weight) == ("categorical", None, "step", 2.0)


def test_categorical_parameters_are_categorical_unless_told_otherwise():
    assert head_configs(SPACE, {})["wave"].kind == "categorical"
    assert head_configs(SPACE, {"default": {"kind": "regression"}})["wave"].kind == "categorical"
    assert head_configs(SPACE, {"wave": {"kind": "regression"}})["wave"].kind == "regression"
    assert isinstance(heads_of({"wave": {"loss": "focal"}}).heads["wave"], LevelHead)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"cutof": {"weight": 2}}, ["model.heads.cutof: no such head", "Did you mean 'cutoff'?"]),
        ({"volume": {}}, ["model.heads.volume", "Known: cutoff, level, resonance, wave."]),
        ({"default": {"kind": "ordinary"}}, ["model.heads.default", "kind: 'ordinary' given", "'regression'"]),
        ({"cutoff": {"wieght": 2}}, ["model.heads.cutoff", "wieght: 2 given", "not permitted"]),
        ({"cutoff": {"weight": -1}}, ["model.heads.cutoff", "weight: -1 given"]),
        ({"cutoff": {"weight": float("nan")}}, ["model.heads.cutoff", "weight", "finite"]),
        ({"cutoff": {"levels": 256}}, ["model.heads.cutoff", "levels is for classification", "kind is regression"]),
        ({"default": {"kind": "mixture"}, "level": {"components": 0}}, ["model.heads.level", "components: 0 given"]),
        ({"default": {"weight": 0}}, ["model.heads: every weight is 0", "above 0"]),
    ],
)
def test_bad_head_config_is_one_line_naming_the_key(config, words):
    with pytest.raises(UserError) as raised:
        head_configs(SPACE, config)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"cutoff": {"loss": "cross_entropy"}}, ["model.heads.cutoff.loss", "does not suit a regression", "huber"]),
        ({"default": {"loss": "crps"}}, ["model.heads.level.loss: loss crps does not suit a regression head"]),
        ({"wave": {"loss": "l1"}}, ["model.heads.wave.loss: loss l1 does not suit a categorical head", "focal"]),
        ({"cutoff": {"loss": "hubert"}}, ["model.heads.cutoff.loss: Unknown loss function", "Did you mean 'huber'?"]),
        ({"cutoff": {"loss": {"p": 2}}}, ["model.heads.cutoff.loss: Loss configuration must contain '_target_' key"]),
        ({"cutoff": {"loss": {"_target_": "huber", "delta": 0}}}, ["model.heads.cutoff.loss: huber: delta: 0 given"]),
    ],
)
def test_a_loss_that_cannot_be_is_one_line_naming_the_head(config, words):
    with pytest.raises(UserError) as raised:
        heads_of(config)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_a_head_may_weigh_nothing_as_long_as_another_is_trained():
    assert head_configs(SPACE, {"default": {"weight": 0}, "wave": {"weight": 1}})["level"].weight == 0


def test_learned_weights_refuse_likelihoods_by_one_line():
    with pytest.raises(
        UserError, match=r"^model.balance: uncertainty needs losses above 0, and GaussianNLLLoss may be negative"
    ):
        heads_of({"cutoff": {"variance": True}}, balance="uncertainty")
