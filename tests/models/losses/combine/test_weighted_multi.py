"""WeightedMultiLoss: a sum whose terms add up, weights that move, and every fault of its list at once."""

import math

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from src.models.losses import HuberLoss, WeightedMultiLoss, create_loss_function

PAIR = [{"loss": "l1", "weight": 0.5, "name": "near"}, {"loss": "l2", "weight": 3, "name": "far"}]


def values(rows=12, columns=None):
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(2, rows, *(columns or ()), generator=generator, dtype=torch.float64).unbind()


def levels(rows=12, count=5):
    generator = torch.Generator().manual_seed(rows)
    prediction = torch.randn(rows, count, generator=generator, dtype=torch.float64)
    return prediction, torch.randint(count, (rows,), generator=generator)


def errors(prediction, target):
    return np.abs(prediction.detach().double().numpy() - target.double().numpy())


def faults(losses, **given):
    with pytest.raises(ValueError) as raised:
        WeightedMultiLoss(losses, **given)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_total_and_terms_match_the_closed_form():
    prediction, target = values()
    error = errors(prediction, target)
    found = WeightedMultiLoss(PAIR)(prediction, target)
    assert found.total.item() == pytest.approx((0.5 * error + 3 * error**2).mean(), rel=1e-6)
    raw = {"near": error.mean(), "far": (error**2).mean()}
    assert {name: one.item() for name, one in found.raw.items()} == pytest.approx(raw, rel=1e-6)
    weighted = {"near": 0.5 * raw["near"], "far": 3 * raw["far"]}
    assert {name: one.item() for name, one in found.weighted.items()} == pytest.approx(weighted, rel=1e-6)
    assert found.total.item() == pytest.approx(sum(one.item() for one in found.weighted.values()), rel=1e-6)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("columns", [None, (3,)])
def test_reductions_are_those_of_each_examples_total(reduction, columns):
    prediction, target = values(columns=columns)
    error = errors(prediction, target).reshape(12, -1)
    each = 0.5 * error.mean(axis=1) + 3 * (error**2).mean(axis=1)
    loss = WeightedMultiLoss(PAIR, reduction=reduction)
    found = loss(prediction, target)
    np.testing.assert_allclose(found.total, each if reduction == "none" else getattr(each, reduction)(), rtol=1e-5)
    np.testing.assert_allclose(loss.values(prediction, target), each, rtol=1e-5)
    assert found.raw["near"].item() == pytest.approx(error.mean(), rel=1e-6)  # means, whatever the reduction


def test_an_examples_total_is_the_same_in_any_batch():
    prediction, target = values()
    loss = WeightedMultiLoss(PAIR, reduction="none").eval()
    alone = torch.cat([loss(prediction[at : at + 1], target[at : at + 1]).total for at in range(12)])
    torch.testing.assert_close(loss(prediction, target).total, alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_summed_in_float32(dtype):
    prediction, target = (one.to(dtype) for one in values())
    with torch.autocast("cpu", torch.bfloat16):
        found = WeightedMultiLoss(PAIR)(prediction, target)
    error = errors(prediction, target)
    assert found.total.dtype == torch.float32
    assert found.total.item() == pytest.approx((0.5 * error + 3 * error**2).mean(), rel=1e-5)


def test_nested_terms_are_named_outer_and_inner():
    inner = {"_target_": "weighted_multi", "losses": [{"loss": "l2"}, {"loss": "huber", "weight": 2}]}
    loss = WeightedMultiLoss([{"loss": inner, "weight": 0.25, "name": "both"}, {"loss": "log_cosh"}])
    names = ["both", "both/l2", "both/huber", "log_cosh"]
    assert loss.term_names == names
    prediction, target = values()
    error = errors(prediction, target)
    found = loss(prediction, target)
    raw = dict(zip(names, [0.0, (error**2).mean(), huber(error).mean(), np.log(np.cosh(error)).mean()], strict=True))
    raw["both"] = raw["both/l2"] + 2 * raw["both/huber"]
    assert {name: one.item() for name, one in found.raw.items()} == pytest.approx(raw, rel=1e-5)
    assert found.total.item() == pytest.approx(0.25 * raw["both"] + raw["log_cosh"], rel=1e-5)
    assert found.weighted["both/huber"].item() == pytest.approx(2 * raw["both/huber"], rel=1e-5)
    outer = found.weighted["both"] + found.weighted["log_cosh"]
    assert found.total.item() == pytest.approx(outer.item(), rel=1e-6)
    assert set(found.raw) == set(found.weighted) == set(names)


def huber(error):
    return np.where(error < 1, error**2 / 2, error - 0.5)


def test_names_and_weights_may_be_left_out():
    loss = WeightedMultiLoss([{"loss": "cross_entropy"}, {"loss": "crps", "weight": 2}])
    assert loss.names == ["cross_entropy", "crps"] and loss.weights().tolist() == [1, 2]


def test_it_is_built_from_configs_of_any_kind():
    plain = {"_target_": "weighted_multi", "losses": PAIR}
    prediction, target = values()
    expected = WeightedMultiLoss(PAIR)(prediction, target).total
    for config in (
        plain,
        OmegaConf.create(plain),
        {"class_path": "src.models.losses.WeightedMultiLoss", "init_args": {"losses": PAIR}},
        {"_target_": "src.models.losses.combine.weighted_multi.WeightedMultiLoss", "losses": tuple(PAIR)},
    ):
        assert torch.equal(create_loss_function(config)(prediction, target).total, expected)


def test_it_takes_what_all_its_losses_take():
    assert WeightedMultiLoss([{"loss": "l1"}, {"loss": "huber"}]).takes == ("waveform", "value")
    assert WeightedMultiLoss([{"loss": "focal"}, {"loss": "crps"}]).takes == ("levels",)
    losses = [{"loss": "l1"}, {"loss": {"_target_": "pre_emphasis", "loss": "l1"}}]
    assert WeightedMultiLoss(losses).takes == ("waveform",)
    message = faults([{"loss": "l1"}, {"loss": "focal"}])
    assert message.startswith("losses: no prediction suits all of them (l1 takes waveform or value; focal takes")


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ("linear", lambda x: 2 + (0.5 - 2) * x),
        ("cosine", lambda x: 0.5 + (2 - 0.5) * (1 + math.cos(math.pi * x)) / 2),
        ("exponential", lambda x: math.exp((1 - x) * math.log(2) + x * math.log(0.5))),
    ],
)
def test_schedules_match_their_closed_form_and_stay_at_the_end(shape, form):
    schedule = {"start": 2, "end": 0.5, "steps": 8, "shape": shape}
    loss = WeightedMultiLoss(
        [{"loss": "l1", "weight": schedule, "name": "a"}, {"loss": "l2", "weight": 3, "name": "b"}]
    )
    prediction, target = values()
    error = errors(prediction, target)
    for step in range(11):
        weight = form(min(1, step / 8))
        assert loss.weights().tolist() == pytest.approx([weight, 3], rel=1e-6)
        expected = (weight * error + 3 * error**2).mean()
        assert loss(prediction, target).total.item() == pytest.approx(expected, rel=1e-6)


def test_a_schedule_is_linear_unless_told_otherwise_and_may_start_at_zero():
    loss = WeightedMultiLoss([{"loss": "l1", "weight": {"start": 0, "end": 1, "steps": 4}}])
    found = [loss(*values()).weighted["l1"].item() / loss(*values()).raw["l1"].item() for _ in range(2)]
    assert found == pytest.approx([0, 0.5])  # of steps 0 and 2: each line above runs it twice


def test_steps_are_counted_in_training_only_and_survive_a_checkpoint():
    inner = {"_target_": "weighted_multi", "losses": [{"loss": "l1", "weight": {"start": 0, "end": 1, "steps": 10}}]}
    losses = [{"loss": inner, "name": "in"}, {"loss": "l2", "weight": {"start": 1, "end": 2, "steps": 10}}]
    loss = WeightedMultiLoss(losses)
    for _ in range(3):
        loss(*values())
    assert loss.step.item() == loss.losses[0].step.item() == 3
    loss.eval()
    for _ in range(4):
        loss(*values())
    assert loss.step.item() == loss.losses[0].step.item() == 3
    assert loss.weights()[1].item() == pytest.approx(1.3)
    other = WeightedMultiLoss(losses)
    other.load_state_dict(loss.state_dict())
    assert other.weights().tolist() == loss.weights().tolist()
    assert other.losses[0].weights().item() == pytest.approx(0.3)


def test_balanced_by_gradient_each_loss_pulls_by_its_weight():
    """Two distances of 1000 to 1: their gradient norms at the prediction are 3 to 1, whatever their scales."""
    unscaled = [{"loss": {"_target_": "normalized_regression", "param_range": given}, "name": name, "weight": weight}
                for name, given, weight in (("wide", (0, 100), 3), ("small", (0, 1), 1))]  # fmt: skip
    loss = WeightedMultiLoss(unscaled, balance="gradient")
    prediction, target = values()
    prediction = prediction.requires_grad_()
    found = loss(prediction, target)
    assert found.raw["wide"] > 1000 * found.raw["small"]
    pulls = [
        torch.autograd.grad(found.weighted[name], prediction, retain_graph=True)[0].abs().mean().item()
        for name in ("wide", "small")
    ]
    assert pulls == pytest.approx([0.75, 0.25], rel=1e-5)
    assert found.total.item() == pytest.approx(sum(one.item() for one in found.weighted.values()), rel=1e-5)
    loss.eval()
    evaluated = loss(prediction, target)
    assert evaluated.weighted["wide"].item() == pytest.approx(3 * evaluated.raw["wide"].item(), rel=1e-6)


def test_balanced_by_gradient_on_logits_too():
    prediction, target = levels()
    prediction = prediction.requires_grad_()
    loss = WeightedMultiLoss([{"loss": "cross_entropy"}, {"loss": "crps", "weight": 3}], balance="gradient")
    found = loss(prediction, target)
    pulls = [
        torch.autograd.grad(one, prediction, retain_graph=True)[0].norm(dim=1).mean().item()
        for one in found.weighted.values()
    ]
    assert pulls == pytest.approx([0.25, 0.75], rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_balanced_by_uncertainty_it_matches_the_closed_form(reduction):
    loss = WeightedMultiLoss(PAIR, balance="uncertainty", reduction=reduction)
    s = np.array([-0.5, 1.5])
    with torch.no_grad():
        loss.balance.log_variances.copy_(torch.from_numpy(s))
    prediction, target = values()
    error = errors(prediction, target)
    each = 0.25 * (np.exp(0.5) * error - 0.5) + 1.5 * (np.exp(-1.5) * error**2 + 1.5)
    found = loss(prediction, target)
    expected = each if reduction == "none" else getattr(each, reduction)()
    np.testing.assert_allclose(found.total.detach(), expected, rtol=1e-5, atol=1e-6)
    assert sum(one.item() for one in found.weighted.values()) == pytest.approx(each.mean(), rel=1e-5)
    found.total.sum().backward()
    slope = np.array([0.25, 1.5]) * (1 - np.exp(-s) * np.array([error.mean(), (error**2).mean()]))
    np.testing.assert_allclose(loss.balance.log_variances.grad, slope * (1 if reduction == "mean" else 12), rtol=1e-4)


def test_gradient_matches_finite_differences_in_float64():
    loss = WeightedMultiLoss([{"loss": "l2", "weight": 0.5}, {"loss": "log_cosh"}]).eval()
    prediction, target = (one.double() for one in values())
    assert torch.autograd.gradcheck(lambda one: loss(one, target).total, prediction.requires_grad_())


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "losses[0]: no 'loss' given"),
        ({"weight": 1}, "losses[0]: no 'loss' given"),
        ("l1", "losses[0]: 'l1' given; give a mapping of loss, weight, name"),
        ({"loss": "l1", "wieght": 2}, "losses[0]: unknown key 'wieght'. Did you mean 'weight'?"),
        ({"loss": "hubert"}, "losses[0].loss: Unknown loss function target: hubert. Did you mean 'huber'?"),
        ({"loss": {"p": 2}}, "losses[0].loss: a loss config needs the key _target_"),
        ({"loss": "l1", "weight": True}, "losses[0].weight: True given; give a finite number >= 0, or a schedule"),
        ({"loss": "l1", "weight": -0.1}, "losses[0].weight: -0.1 given; give a finite number >= 0"),
        ({"loss": "l1", "weight": NAN}, "losses[0].weight: nan given; give a finite number >= 0"),
        ({"loss": "l1", "weight": INF}, "losses[0].weight: inf given; give a finite number >= 0"),
        ({"loss": "l1", "weight": "1"}, "losses[0].weight: '1' given; give a finite number >= 0"),
        ({"loss": "l1", "weight": None}, "losses[0].weight: None given; give a finite number >= 0"),
        ({"loss": "l1", "weight": 0}, "losses: all weights are 0"),
        ({"loss": "l1", "name": "a/b"}, "losses[0].name: 'a/b' is reserved; give a name without '/'"),
        ({"loss": "l1", "name": "total"}, "losses[0].name: 'total' is reserved"),
        ({"loss": "l1", "name": "weighted"}, "losses[0].name: 'weighted' is reserved"),
        ({"loss": "l1", "name": "raw"}, "losses[0].name: 'raw' is reserved"),
        ({"loss": "l1", "name": ""}, "losses[0].name: '' given; give a word"),
        ({"loss": "l1", "name": 3}, "losses[0].name: 3 given; give a word"),
        ({"loss": "l1", "weight": {}}, "losses[0].weight: None given as start; give a finite number >= 0"),
        (
            {"loss": "l1", "weight": {"start": 1, "end": -1, "steps": 5}},
            "losses[0].weight: -1 given as end; give a finite number >= 0",
        ),
        (
            {"loss": "l1", "weight": {"start": 1, "end": 1, "steps": 0}},
            "losses[0].weight: 0 given as steps; give a whole",
        ),
        ({"loss": "l1", "weight": {"start": 1, "end": 1, "steps": 2.5}}, "losses[0].weight: 2.5 given as steps"),
        (
            {"loss": "l1", "weight": {"start": 1, "end": 1, "steps": 5, "shape": "cos"}},
            "losses[0].weight: 'cos' given as shape; give one of linear, cosine, exponential",
        ),
        (
            {"loss": "l1", "weight": {"start": 1, "end": 0, "steps": 5, "shape": "exponential"}},
            "losses[0].weight: an exponential schedule needs start and end above 0",
        ),
        (
            {"loss": "l1", "weight": {"start": 1, "end": 1, "step": 5}},
            "losses[0].weight: unknown key 'step'. Did you mean 'steps'?",
        ),
    ],
    ids=str,
)
def test_a_faulty_entry_is_told(entry, words):
    assert words in faults([entry])


@pytest.mark.parametrize("losses", [[], (), {}, None, "l1", {"loss": "l1"}], ids=str)
def test_no_list_or_an_empty_one_is_told(losses):
    assert faults(losses).startswith(f"losses: {losses!r} given; give a list of at least one {{loss, weight, name}}")


def test_a_name_that_is_given_twice_is_told():
    message = faults([{"loss": "huber"}, {"loss": "huber"}])
    assert message == "losses[1].name: 'huber' is given twice; give each loss its own name"


def test_all_faults_are_told_at_once():
    losses = [
        {"loss": "hubert", "weight": -1, "name": "a/b"},
        "crps",
        {"weight": NAN},
        {"loss": "l1", "wieght": 2, "name": "one"},
        {"loss": "l2", "name": "one", "weight": {"start": 1, "end": 2, "steps": 0, "shape": "sine"}},
    ]
    message = faults(losses)
    for words in (
        "losses[0].loss: Unknown loss function target: hubert",
        "losses[0].weight: -1 given",
        "losses[0].name: 'a/b' is reserved",
        "losses[1]: 'crps' given; give a mapping",
        "losses[2]: no 'loss' given",
        "losses[2].weight: nan given",
        "losses[3]: unknown key 'wieght'",
        "losses[4].name: 'one' is given twice",
        "losses[4].weight: 0 given as steps",
        "losses[4].weight: 'sine' given as shape",
    ):
        assert words in message, words
    assert message.count("; losses[") == 9


def test_faults_of_an_inner_list_are_told_with_both_places():
    inner = {"_target_": "weighted_multi", "losses": [{"loss": "l1", "weight": -1}]}
    message = faults([{"loss": inner}])
    assert message == (
        "losses[0].loss: weighted_multi: losses[0].weight: -1 given; give a finite number >= 0, or a schedule"
    )


def test_a_loss_that_was_built_may_be_given():
    loss = HuberLoss(0.25)
    assert WeightedMultiLoss([{"loss": loss}]).losses[0] is loss


def test_an_unknown_balance_is_refused():
    assert faults(PAIR, balance="gradnorm") == "balance: 'gradnorm' given; give one of weights, gradient, uncertainty"


def test_l1_and_l2_go_by_their_own_names():
    assert WeightedMultiLoss([{"loss": "l1"}, {"loss": "l2"}]).names == ["l1", "l2"]
    assert WeightedMultiLoss([{"loss": {"_target_": "l1"}}, {"loss": {"class_path": "l2"}}]).names == ["l1", "l2"]


def test_evidential_logits_are_not_read_two_ways():
    with pytest.raises(ValueError, match=r"evidential_classification does not interpret the logits.*use it alone"):
        WeightedMultiLoss(
            [{"loss": "cross_entropy"}, {"loss": "evidential_classification"}], context={"num_classes": 4}
        )


def test_a_prepared_target_gives_the_same_total():
    spectral = {"_target_": "multi_scale_spectral", "max_n_fft": 64, "num_scales": 2}
    emphasised = {"_target_": "pre_emphasis", "loss": spectral}
    loss = WeightedMultiLoss([{"loss": spectral}, {"loss": "l1"}, {"loss": emphasised}], reduction="none")
    prediction, target = torch.randn(3, 200), torch.randn(3, 200)
    torch.testing.assert_close(loss(prediction, loss.prepare(target)).total, loss(prediction, target).total)


def test_a_reduction_of_one_term_is_told():
    message = faults([{"loss": {"_target_": "l1", "reduction": "sum"}}])
    assert message == "losses[0].loss: reduction sum given; give it to the sum"
