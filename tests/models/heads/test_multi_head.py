"""All heads together: one product, what each says in order, and configs whose faults name the key."""

import numpy as np
import pytest
import torch

from src.models.heads.head import LevelHead
from src.models.heads.multi_head import MultiHead, head_configs
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
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
    estimates = heads.estimates(outputs)
    count = len(EVERY)
    assert (values.shape, levels.shape, losses.shape) == ((9, count), (9, count), (count,))
    assert (values.dtype, levels.dtype) == (torch.float32, torch.int64)
    assert all(one.shape == (9, count) and one.dtype == torch.float32 for one in estimates)
    assert torch.equal(estimates.values, values)
    assert torch.equal(losses.detach(), terms) and not terms.requires_grad
    for at, (name, head) in enumerate(heads.heads.items()):
        assert torch.equal(values[:, at], head.value(outputs[name]))
        assert torch.equal(levels[:, at], head.level(outputs[name]))
        assert torch.equal(losses[at], head.loss(outputs[name], target[:, at])[0])
        if name == "regression":
            assert estimates.uncertainties[:, at].isnan().all()  # nothing measured yet
        else:
            assert (estimates.uncertainties[:, at] > 0).all()


def calibrated(heads, space):
    """Give a MultiHead a calibration that differs from head to head; return it as float64."""
    rng = np.random.default_rng(5)
    size = len(space)
    for name, value in heads.calibration.named_buffers():
        shape = (size, 2) if name == "factors" else (size,)
        value.copy_(torch.tensor(7) if name == "samples" else torch.from_numpy(rng.uniform(0.5, 2, shape)))
    return {name: value.double().numpy() for name, value in heads.calibration.named_buffers()}


@pytest.mark.parametrize("scale", ["lin", "log"])
def test_uncertainties_and_intervals_match_their_closed_forms(scale):
    """On the unit scale, where intervals are symmetric; `+-` is in the unit, by the slope at the value."""
    kinds = {name: one for name, one in KINDS.items() if name != "categorical"}
    space = ParameterSpace(ParameterSpec(name=name, min=1, max=9, step=0.5, scale=scale) for name in kinds)
    heads = heads_of(kinds, space)
    given = calibrated(heads, space)
    outputs = heads(features())
    found = {name: one.detach().double().numpy() for name, one in heads.estimates(outputs)._asdict().items()}
    for at, (name, head) in enumerate(heads.heads.items()):
        spread = head.spread(outputs[name])
        spread = 0.0 if spread is None else spread.detach().double().numpy()
        width = head.width(outputs[name]).detach().double().numpy()
        spread_variance = given["spread_weight"][at] * spread ** (2 * given["spread_power"][at])
        deviation = np.sqrt(spread_variance + given["width_weight"][at] * width**2 / 12)
        value = found["values"][:, at]
        unit = np.log(value) / np.log(9) if scale == "log" else (value - 1) / 8
        slope = value * np.log(9) if scale == "log" else 8
        np.testing.assert_allclose(found["uncertainties"][:, at], given["scale"][at] * slope * deviation, rtol=1e-4)
        for level, factor in zip((68, 90), given["factors"][at], strict=True):
            for end, sign in (("low", -1), ("high", 1)):
                expected = np.clip(unit + sign * factor * deviation, 0, 1)
                expected = 9**expected if scale == "log" else 1 + 8 * expected
                np.testing.assert_allclose(found[f"{end}_{level}"][:, at], expected, rtol=1e-4)


def test_an_interval_without_a_bound_is_the_whole_range():
    heads = heads_of({"default": {"kind": "classification"}})
    heads.calibration.factors.fill_(torch.inf)  # as after a validation of 8 sounds
    found = heads.estimates(heads(features()))
    for at, spec in enumerate((LIN, LOG, CUT)):
        assert (found.low_90[:, at] == spec.min).all()
        np.testing.assert_allclose(found.high_90[:, at].detach(), spec.max, rtol=1e-6)


def test_a_category_has_a_probability_of_error_at_its_temperature_and_no_interval():
    heads = heads_of({})
    heads.calibration.temperature[3] = 2.5
    outputs = heads(features())
    found = heads.estimates(outputs)
    wrong = 1 - torch.softmax(outputs["wave"].double() / 2.5, dim=1).amax(dim=1)
    np.testing.assert_allclose(found.uncertainties[:, 3].detach(), wrong.detach(), rtol=1e-5)
    assert all(one[:, 3].isnan().all() for one in found[2:])


def test_measured_errors_are_on_the_unit_scale_and_costs_are_those_of_categories():
    heads = heads_of({"level": {"kind": "classification"}, "cutoff": {"variance": True}})
    outputs, target = heads(features()), targets()
    error, spread, width, costs = heads.measure(outputs, target)
    values = SPACE.normalize(heads.values(outputs).detach().double().numpy())
    np.testing.assert_allclose(error.detach(), values - target.double().numpy(), atol=1e-5)
    assert torch.equal(spread[:, 0], heads.heads["level"].spread(outputs["level"]))
    assert not spread[:, 2:].any() and (width > 0).all()
    assert not costs[:3].any() and (costs[3] > 0).all()
    levels = torch.floor(3 * target[:, 3] + 0.5).long()
    expected = torch.nn.functional.cross_entropy(outputs["wave"], levels, reduction="sum")
    assert costs[3, len(costs[3]) // 2].item() == pytest.approx(expected.item(), rel=1e-5)  # at a temperature of 1


def test_a_state_from_before_calibration_is_completed_and_says_so(caplog):
    """A head without a spread gets the RMS error that such a state holds; on a log scale it is unknown."""
    config = {"resonance": {"kind": "classification"}}
    heads, old = heads_of(config), heads_of(config).state_dict()
    for name in [name for name in old if name.startswith("calibration.")]:
        del old[name]
    old["residuals"] = torch.tensor([0.25, 100.0, 0.1, 1.0])
    calibrated(heads, SPACE)
    with caplog.at_level("WARNING"):
        heads.load_state_dict(old)
    assert "the checkpoint is from a version without calibration" in caplog.text
    assert "residuals" in old  # the caller's own is left as it was
    found = heads.estimates(heads(features()))
    np.testing.assert_allclose(found.uncertainties[:, 0].detach(), 0.25, rtol=1e-5)
    assert found.uncertainties[:, 1].isnan().all() and heads.calibration.samples == 0
    assert heads.calibration.spread_weight.tolist() == [1, 1, 1, 1] and heads.calibration.width_weight[2] == 1
    caplog.clear()
    before = heads.state_dict()
    del before["calibration.spread_power"]  # which was added later
    calibrated(heads, SPACE)
    heads.load_state_dict(before)
    assert not caplog.text and (heads.calibration.spread_power == 1).all()


def test_half_precision_outputs_are_judged_in_float32():
    heads = heads_of(KINDS, EVERY)
    outputs = {name: out.bfloat16() for name, out in heads(features()).items()}
    exact = {name: out.float() for name, out in outputs.items()}
    target = targets(columns=len(EVERY))
    assert torch.equal(heads.losses(outputs, target)[0], heads.losses(exact, target)[0])
    assert torch.equal(heads.values(outputs), heads.values(exact))
    assert all(equal(*pair) for pair in zip(heads.estimates(outputs), heads.estimates(exact), strict=True))
    for one, other in zip(heads.measure(outputs, target), heads.measure(exact, target), strict=True):
        assert torch.equal(one, other)


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
        found = [
            losses,
            terms,
            total,
            heads.values(outputs),
            *heads.estimates(outputs),
            *heads.measure(outputs, target),
        ]
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
    names = ("spread_power", "spread_weight", "width_weight", "scale", "factors", "temperature", "samples")
    least = {"linear.weight", "linear.bias", *(f"calibration.{name}" for name in names)}
    assert set(heads_of({"cutoff": {"kind": "classification"}}).state_dict()) == least
    assert set(heads_of({"cutoff": {"loss": "soft_target", "kind": "classification"}}).state_dict()) == least
    more = set(heads_of({"cutoff": {"kind": "coral"}}, balance="uncertainty").state_dict())
    assert more == least | {"_heads.1.thresholds", "balance.log_variances"}


def test_an_unknown_balance_is_one_line():
    with pytest.raises(
        UserError, match=r"^model.balance: 'gradnorm' given; give one of weights, gradient, uncertainty$"
    ):
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
        ({"cutoff": {"wieght": 2}}, ["model.heads.cutoff", "wieght: 2 given", "no such key"]),
        ({"cutoff": {"weight": -1}}, ["model.heads.cutoff", "weight: -1 given"]),
        ({"cutoff": {"weight": float("nan")}}, ["model.heads.cutoff", "weight", "finite"]),
        ({"cutoff": {"levels": 256}}, ["model.heads.cutoff", "levels is for classification", "kind is regression"]),
        ({"cutoff": {"kind": "ordinal", "output": "linear"}}, ["output is for regression", "kind is ordinal"]),
        ({"default": {"kind": "mixture"}, "level": {"components": 0}}, ["model.heads.level", "components: 0 given"]),
        ({"default": {"weight": 0}}, ["model.heads: all weights are 0", "above 0"]),
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
        ({"cutoff": {"loss": {"p": 2}}}, ["model.heads.cutoff.loss: a loss config needs the key _target_"]),
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
        UserError, match=r"^model.balance: uncertainty needs losses above 0, but GaussianNLLLoss may be negative"
    ):
        heads_of({"cutoff": {"variance": True}}, balance="uncertainty")


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "soft_target", "tversky"])
def test_a_mixed_image_costs_the_mean_of_both_labels_by_its_share(loss):
    torch.manual_seed(0)
    heads = MultiHead(3, SPACE, head_configs(SPACE, {"default": {"kind": "classification", "loss": loss}}))
    features, target, other = torch.randn(6, 3), torch.rand(6, len(SPACE)), torch.rand(6, len(SPACE))
    share = torch.tensor([1.0, 0.0, 0.3, 0.5, 0.8, 0.1])
    outputs = heads(features)
    found, terms = heads.losses(outputs, target, (other, share))
    wanted = torch.zeros(len(SPACE))
    for at in range(6):
        one = {name: raw[at : at + 1] for name, raw in outputs.items()}
        for labels, weight in ((target, share[at]), (other, 1 - share[at])):
            wanted += weight * heads.losses(one, labels[at : at + 1])[0] / 6
    torch.testing.assert_close(found, wanted)
    assert torch.equal(terms, found.detach())
    assert torch.equal(heads.losses(outputs, target, (other, torch.ones(6)))[0], heads.losses(outputs, target)[0])


def test_cross_entropy_of_a_mixed_image_is_that_of_the_soft_label():
    heads = MultiHead(3, SPACE, head_configs(SPACE, {"default": {"kind": "classification"}}))
    outputs, target, other = heads(torch.randn(5, 3)), torch.rand(5, len(SPACE)), torch.rand(5, len(SPACE))
    share = torch.rand(5)
    found, _ = heads.losses(outputs, target, (other, share))
    for at, (name, head) in enumerate(heads.heads.items()):
        ours, theirs = (head.feed(outputs[name], labels[:, at])[1] for labels in (target, other))
        soft = torch.zeros_like(outputs[name])
        soft[torch.arange(5), ours] += share
        soft[torch.arange(5), theirs] += 1 - share
        wanted = -(soft * outputs[name].log_softmax(1)).sum(1).mean()
        torch.testing.assert_close(found[at], wanted)
