"""Heads against closed forms in float64 numpy."""

import numpy as np
import pytest
import torch

from src.models.heads import ClassificationHead, HeadConfig, MultiHead, RegressionHead, head_configs, to_class
from src.models.heads import to_physical as physical
from src.synth.parameters import ParameterSpace, ParameterSpec
from src.utils.errors import UserError

LIN = ParameterSpec(name="level", min=-2, max=6, step=0.5)
LOG = ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log")
CUT = ParameterSpec(name="resonance", min=0.3, max=0.85, step=0.1)  # 7 classes, the last clipped from 0.9 to 0.85
WAVE = ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical")
SPACE = ParameterSpace([LIN, LOG, CUT, WAVE])


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def unit_of(raw):
    """Return the stretched sigmoid, -0.1 .. 1.1, of logits (B, 1)."""
    return 1.2 * sigmoid(raw[:, 0]) - 0.1


def log_softmax(x):
    x = np.asarray(x, np.float64)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def logits(*shape):
    return torch.from_numpy(3 * np.random.default_rng(0).standard_normal(shape)).float()


def units(*shape):
    return np.random.default_rng(1).uniform(0, 1, shape)


@pytest.mark.parametrize(
    ("spec", "closed_form"), [(LIN, lambda s: -2 + 8 * s), (LOG, lambda s: 50 ** (1 - s) * 5000**s)]
)
def test_regression_value_is_the_clamped_stretched_sigmoid_in_physical_units(spec, closed_form):
    raw = logits(100, 1)
    value = RegressionHead(spec, HeadConfig()).value(raw)
    np.testing.assert_allclose(value, closed_form(np.clip(unit_of(raw), 0, 1)), rtol=5e-6, atol=5e-6)
    ends = RegressionHead(spec, HeadConfig()).value(torch.tensor([[-200.0], [-2.5], [2.5], [200.0]]))
    np.testing.assert_allclose(ends, [spec.min, spec.min, spec.max, spec.max], rtol=1e-6)  # reached, not approached


@pytest.mark.parametrize(("spec", "slope"), [(LIN, lambda u: 8 + 0 * u), (LOG, lambda u: np.log(100) * 50 * 100**u)])
def test_regression_value_has_the_gradient_of_its_closed_form(spec, slope):
    raw = logits(20, 1).clamp(-2.3, 2.3).requires_grad_()  # beyond, the value is clamped
    RegressionHead(spec, HeadConfig()).value(raw).sum().backward()
    s = sigmoid(raw.detach()[:, 0])
    np.testing.assert_allclose(raw.grad[:, 0], slope(unit_of(raw.detach())) * 1.2 * s * (1 - s), rtol=1e-4)


def test_physical_values_and_classes_are_those_of_the_parameter_space():
    unit = units(500, len(SPACE))
    values = SPACE.denormalize(unit)
    grid = SPACE.from_class(np.random.default_rng(2).integers(0, 4, (50, len(SPACE))))
    for at, spec in enumerate(SPACE):
        ours = physical(spec, torch.from_numpy(unit[:, at]))
        np.testing.assert_allclose(ours, values[:, at], rtol=1e-12)
        for given in (values, grid, values * 3 - 1):  # between grid points, on them, out of range
            classes = to_class(spec, torch.from_numpy(given[:, at]))
            np.testing.assert_array_equal(classes, SPACE.to_class(given)[:, at])
            assert classes.dtype == torch.int64


@pytest.mark.parametrize("loss", ["l1", "l2", "huber"])
@pytest.mark.parametrize("delta", [0.02, 0.3])
def test_regression_loss_matches_numpy(loss, delta):
    raw, target = logits(64, 1), units(64)
    error = np.abs(unit_of(raw) - target)  # not clamped, so that it still pulls back
    huber = np.where(error < delta, error**2 / 2, delta * (error - delta / 2)) / delta
    expected = {"l1": error, "l2": error**2, "huber": huber}[loss].mean()
    head = RegressionHead(LOG, HeadConfig(loss=loss, huber_delta=delta))
    assert head.loss(raw, torch.from_numpy(target).float()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("spec", [LIN, LOG, CUT, WAVE], ids=lambda spec: spec.name)
def test_classification_loss_matches_numpy(spec, smoothing):
    count = spec.num_classes
    raw, target = logits(64, count), units(64)
    values = ParameterSpace([spec]).denormalize(target[:, None])[:, 0]
    classes = np.clip(np.round((values - spec.min) / spec.step), 0, count - 1).astype(int)
    cost = -log_softmax(raw)
    expected = (1 - smoothing) * cost[np.arange(64), classes].mean() + smoothing * cost.mean()
    head = ClassificationHead(spec, HeadConfig(kind="classification", label_smoothing=smoothing))
    assert head.num_outputs == count
    assert head.loss(raw, torch.from_numpy(target).float()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("spec", [LIN, LOG, CUT], ids=lambda spec: spec.name)
def test_classification_value_is_the_expectation_over_the_grid(spec):
    raw = logits(64, spec.num_classes)
    grid = np.minimum(spec.min + spec.step * np.arange(spec.num_classes), spec.max)
    head = ClassificationHead(spec, HeadConfig())
    np.testing.assert_allclose(head.value(raw), np.exp(log_softmax(raw)) @ grid, rtol=1e-5)
    np.testing.assert_array_equal(head.level(raw), raw.numpy().argmax(axis=1))
    certain = torch.full((1, spec.num_classes), -100.0)
    certain[0, -1] = 100.0
    assert head.value(certain).item() == pytest.approx(spec.max)


def test_category_is_the_most_likely_one_and_never_a_mean():
    raw = torch.tensor([[5.0, 0.0, 0.0, 4.9], [0.0, 0.0, 1.0, 0.9]])
    head = ClassificationHead(WAVE, HeadConfig())
    assert head.value(raw).tolist() == [0.0, 2.0]
    assert head.level(raw).tolist() == [0, 2]


def test_multihead_is_one_linear_layer_a_head():
    configs = head_configs(SPACE, {"cutoff": {"kind": "classification", "weight": 2.5}})
    torch.manual_seed(0)
    heads = MultiHead(7, SPACE, configs)
    features = logits(5, 7)
    outputs = heads(features)
    sizes = {"level": 1, "cutoff": 100, "resonance": 1, "wave": 4}
    assert {name: out.shape[1] for name, out in outputs.items()} == sizes
    full = features.double().numpy() @ heads.linear.weight.detach().double().numpy().T
    full += heads.linear.bias.detach().double().numpy()
    starts = np.cumsum([0, *sizes.values()])
    for (name, out), start in zip(outputs.items(), starts[:-1], strict=True):
        np.testing.assert_allclose(out.detach(), full[:, start : start + sizes[name]], atol=1e-5)
    assert heads.weights.tolist() == [1.0, 2.5, 1.0, 1.0]


def test_multihead_stacks_what_each_head_says_in_the_order_of_the_space():
    heads = MultiHead(7, SPACE, head_configs(SPACE, {"cutoff": {"kind": "classification"}}))
    outputs, target = heads(logits(9, 7)), torch.rand(9, 4)
    values, levels, losses = heads.values(outputs), heads.levels(outputs), heads.losses(outputs, target)
    assert (values.shape, levels.shape, losses.shape) == ((9, 4), (9, 4), (4,))
    assert (values.dtype, levels.dtype) == (torch.float32, torch.int64)
    for at, (name, head) in enumerate(heads.heads.items()):
        assert torch.equal(values[:, at], head.value(outputs[name]))
        assert torch.equal(levels[:, at], head.level(outputs[name]))
        assert torch.equal(losses[at], head.loss(outputs[name], target[:, at]))


def test_half_precision_outputs_are_judged_in_float32():
    heads = MultiHead(7, SPACE, head_configs(SPACE, {}))
    outputs = {name: out.bfloat16() for name, out in heads(logits(9, 7)).items()}
    target = torch.rand(9, 4)
    exact = {name: out.float() for name, out in outputs.items()}
    assert torch.equal(heads.losses(outputs, target), heads.losses(exact, target))
    assert torch.equal(heads.values(outputs), heads.values(exact))


def test_configs_come_from_the_default_and_each_heads_own():
    configs = head_configs(SPACE, {"default": {"loss": "huber", "weight": 3}, "cutoff": {"weight": 0.5, "loss": "l2"}})
    assert (configs["level"].loss, configs["level"].weight) == ("huber", 3)
    assert (configs["cutoff"].loss, configs["cutoff"].weight) == ("l2", 0.5)
    assert list(configs) == list(SPACE.names)


def test_categorical_parameters_are_classified_unless_told_otherwise():
    assert head_configs(SPACE, {})["wave"].kind == "classification"
    assert head_configs(SPACE, {"default": {"kind": "regression"}})["wave"].kind == "classification"
    assert head_configs(SPACE, {"wave": {"kind": "regression"}})["wave"].kind == "regression"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"cutof": {"weight": 2}}, ["model.heads.cutof: no such head", "Did you mean 'cutoff'?"]),
        ({"volume": {}}, ["model.heads.volume", "Known: cutoff, level, resonance, wave."]),
        ({"default": {"kind": "ordinary"}}, ["model.heads.level", "kind: 'ordinary' given", "'regression'"]),
        ({"cutoff": {"wieght": 2}}, ["model.heads.cutoff", "wieght: 2 given", "not permitted"]),
        ({"cutoff": {"weight": -1}}, ["model.heads.cutoff", "weight: -1 given"]),
        ({"cutoff": {"weight": float("nan")}}, ["model.heads.cutoff", "weight", "finite"]),
        ({"default": {"weight": 0}}, ["model.heads: every weight is 0", "above 0"]),
    ],
)
def test_bad_head_config_is_one_line_naming_the_key(config, words):
    with pytest.raises(UserError) as raised:
        head_configs(SPACE, config)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_a_head_may_weigh_nothing_as_long_as_another_is_trained():
    assert head_configs(SPACE, {"default": {"weight": 0}, "wave": {"weight": 1}})["level"].weight == 0
