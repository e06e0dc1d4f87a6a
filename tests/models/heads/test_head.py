"""Heads on numbers and on levels, against closed forms in float64 numpy."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax

from src.models.heads.head import (
    CoralHead,
    CornHead,
    HeadConfig,
    LevelHead,
    OrdinalHead,
    RegressionHead,
)
from src.models.heads.multi_head import MultiHead
from src.models.losses import Loss
from src.parameters.codec import from_class, physical_per_unit, to_unit
from src.parameters.codec import to_class as class_of
from src.parameters.codec import to_physical as physical
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

LIN = ParameterSpec(name="level", min=-2, max=6, step=0.5)
LOG = ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log")
CUT = ParameterSpec(name="resonance", min=0.3, max=0.85, step=0.1)  # 7 classes, the last clipped from 0.9 to 0.85
WAVE = ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical")
SPACE = ParameterSpace([LIN, LOG, CUT, WAVE])
KINDS = {"classification": LevelHead, "ordinal": OrdinalHead, "coral": CoralHead, "corn": CornHead}
each_spec = pytest.mark.parametrize("spec", [LIN, LOG, CUT], ids=lambda spec: spec.name)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_grid = pytest.mark.parametrize("levels", ["step", 256, 2])


def head_of(kind, spec, **given):
    return KINDS[kind](spec, HeadConfig(kind=kind, **given))


def unit_of(raw):
    """Return the stretched sigmoid, -0.1 .. 1.1, of logits (B, 1)."""
    return 1.2 * expit(raw[:, 0].double().numpy()) - 0.1


def logits(*shape, scale=3.0):
    return torch.from_numpy(scale * np.random.default_rng(0).standard_normal(shape)).float()


def units(*shape):
    return np.random.default_rng(1).uniform(0, 1, shape)


def denormalized(spec, unit):
    return ParameterSpace([spec]).denormalize(np.asarray(unit)[:, None])[:, 0]


def grid_of(spec, levels="step"):
    """Return the values of a head's levels: the step grid, or so many over the range on its scale."""
    if levels == "step" and spec.scale == "lin":
        return np.minimum(spec.min + spec.step * np.arange(spec.num_classes), spec.max)
    levels = spec.num_classes if levels == "step" else levels
    return denormalized(spec, np.linspace(0, 1, levels))


def scaled(spec, values):
    """Return values in [0, 1] on a parameter's scale, without clipping."""
    if spec.scale == "log":
        return np.log(values / spec.min) / np.log(spec.max / spec.min)
    return (values - spec.min) / (spec.max - spec.min)


def levels_of(spec, target, levels="step"):
    """Return the nearest level of targets in [0, 1]: on the step grid of a linear scale, else even on the scale."""
    levels = spec.num_classes if levels == "step" and spec.scale == "log" else levels
    if levels != "step":
        return np.floor(target * (levels - 1) + 0.5).astype(int)
    return np.clip(np.floor((denormalized(spec, target) - spec.min) / spec.step + 0.5), 0, spec.num_classes - 1).astype(
        int
    )


def probabilities_of(kind, raw):
    """Return level probabilities by their definition, from float64 logits; CORAL's by those of its thresholds."""
    if kind in ("classification", "ordinal"):
        return softmax(raw, axis=1)
    above = expit(raw) if kind == "coral" else np.cumprod(expit(raw), axis=1)
    ends = np.ones((len(raw), 1))
    return -np.diff(np.concatenate([ends, above, 0 * ends], axis=1), axis=1)


def read(head, kind, raw):
    """Return what a kind's closed forms start from: float64 logits, those of CORAL being score + threshold."""
    count = len(head.grid)
    start = np.log((count - 1 - np.arange(count - 1)) / (np.arange(count - 1) + 1))
    return raw.double().numpy() + start if kind == "coral" else raw.double().numpy()


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
    s = expit(raw.detach()[:, 0].double().numpy())
    np.testing.assert_allclose(raw.grad[:, 0], slope(unit_of(raw.detach())) * 1.2 * s * (1 - s), rtol=1e-4)


@pytest.mark.parametrize("spec", [LIN, LOG])
def test_a_linear_output_is_the_place_in_the_range(spec):
    """Without a sigmoid, the value is the output, clamped, and starts in the middle of the range."""
    head = RegressionHead(spec, HeadConfig(output="linear"))
    raw = torch.tensor([[-0.3], [0.0], [0.25], [1.0], [1.2]])
    places = ParameterSpace([spec]).denormalize(np.array([[0.0], [0.0], [0.25], [1.0], [1.0]]))
    np.testing.assert_allclose(head.value(raw), places[:, 0], rtol=2e-6)
    assert head.initial_bias().tolist() == [0.5]
    loss, _ = head.loss(raw, torch.full((5,), 0.25))
    assert float(loss) == pytest.approx((0.55 + 0.25 + 0.0 + 0.75 + 0.95) / 5)  # not clamped


def test_regression_says_one_number_and_its_class():
    head, raw = RegressionHead(CUT, HeadConfig()), logits(50, 1)
    np.testing.assert_allclose(head.width(raw), np.full(50, 1 / 6), rtol=1e-6)
    assert head.num_outputs == 1 and head.distribution(raw) is None and head.spread(raw) is None
    np.testing.assert_array_equal(head.level(raw), ParameterSpace([CUT]).to_class(head.value(raw)[:, None])[:, 0])


def test_physical_values_and_classes_are_those_of_the_parameter_space():
    unit = units(500, len(SPACE))
    values = SPACE.denormalize(unit)
    grid = SPACE.from_class(np.random.default_rng(2).integers(0, 4, (50, len(SPACE))))
    for at, spec in enumerate(SPACE):
        ours = physical(spec, torch.from_numpy(unit[:, at]))
        np.testing.assert_allclose(ours, values[:, at], rtol=1e-12)
        np.testing.assert_allclose(to_unit(spec, ours), unit[:, at], rtol=1e-9, atol=1e-12)
        exact = values[:, at] * np.log(spec.max / spec.min) if spec.scale == "log" else spec.max - spec.min
        np.testing.assert_allclose(physical_per_unit(spec, ours), np.broadcast_to(exact, ours.shape), rtol=1e-12)
        for given in (values, grid, values * 3 - 1):  # between grid points, on them, out of range
            classes = class_of(spec, torch.from_numpy(given[:, at]))
            np.testing.assert_array_equal(classes, SPACE.to_class(given)[:, at])
            assert classes.dtype == torch.int64
        every = np.arange(spec.num_classes)[:, None]
        expected = ParameterSpace([spec]).from_class(every)[:, 0]
        np.testing.assert_allclose(from_class(spec, torch.arange(len(every))), expected, rtol=1e-6)


@each_spec
@pytest.mark.parametrize("delta", [0.02, 0.3])
@pytest.mark.parametrize("loss", ["l1", "l2", "huber", "normalized_regression", "quantized_regression"])
def test_regression_loss_matches_numpy(loss, delta, spec):
    """Errors as shares of the scale, as shares of the range, or as steps of the label's class."""
    raw, target = logits(64, 1), units(64)
    span, unclamped = spec.max - spec.min, unit_of(raw)  # not clamped, so that it still pulls back
    value = spec.min * (spec.max / spec.min) ** unclamped if spec.scale == "log" else spec.min + span * unclamped
    error = np.abs(unclamped - target)
    shares = np.abs(value - denormalized(spec, target)) / span
    step = (spec.max - spec.min) / (spec.num_classes - 1) if spec.scale == "log" else spec.step
    position = scaled(spec, value) * (spec.max - spec.min) / step
    steps = np.abs(position - levels_of(spec, target))
    huber = np.where(error < delta, error**2 / 2, delta * (error - delta / 2))
    expected = {
        "l1": error,
        "l2": error**2,
        "huber": huber,
        "normalized_regression": shares**2,
        "quantized_regression": steps / (spec.num_classes - 1),
    }[loss].mean()
    given = {"_target_": loss} | ({"delta": delta} if loss == "huber" else {})
    found, terms = RegressionHead(spec, HeadConfig(loss=given)).loss(raw, torch.from_numpy(target).float())
    assert found.item() == pytest.approx(expected, rel=2e-5) and terms == {}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@each_grid
@each_spec
def test_classification_loss_matches_numpy(spec, levels, smoothing):
    loss = {"_target_": "cross_entropy", "label_smoothing": smoothing} if smoothing else None
    head = head_of("classification", spec, loss=loss, levels=levels)
    count = spec.num_classes if levels == "step" else levels
    assert head.num_outputs == count
    raw, target = logits(64, count), units(64)
    cost = -log_softmax(raw.double().numpy(), axis=1)
    right = cost[np.arange(64), levels_of(spec, target, levels)]
    expected = (1 - smoothing) * right.mean() + smoothing * cost.mean()
    assert head.loss(raw, torch.from_numpy(target).float())[0].item() == pytest.approx(expected, rel=1e-5)


@each_grid
@each_spec
def test_ordinal_loss_matches_numpy(spec, levels):
    """The distance of the expected level, as a share of the range, plus a tenth of the cross entropy."""
    head = head_of("ordinal", spec, levels=levels)
    raw, target = logits(64, head.num_outputs), units(64)
    likelihood = softmax(raw.double().numpy(), axis=1)
    level = levels_of(spec, target, levels)
    distance = np.abs(likelihood @ np.arange(head.num_outputs) - level)
    expected = distance / (head.num_outputs - 1)
    expected -= 0.1 * np.log(likelihood[np.arange(64), level])
    found = head.loss(raw, torch.from_numpy(target).float())[0]
    assert found.item() == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("kind", ["coral", "corn"])
@each_grid
@each_spec
def test_threshold_losses_match_numpy(spec, levels, kind):
    """CORAL: every question "is the level above k?"; CORN: the likelihood of the level."""
    head = head_of(kind, spec, levels=levels)
    raw, target = logits(64, head.num_outputs), units(64)
    level = levels_of(spec, target, levels)
    given = read(head, kind, raw)
    if kind == "coral":
        above = level[:, None] > np.arange(len(head.grid) - 1)
        expected = np.logaddexp(0, np.where(above, -given, given)).sum(axis=1)
    else:
        expected = -np.log(probabilities_of(kind, given)[np.arange(64), level])
    found = head.loss(raw, torch.from_numpy(target).float())[0]
    assert found.item() == pytest.approx(expected.mean(), rel=1e-5)


@each_kind
@each_grid
@each_spec
def test_levels_give_a_distribution_its_mean_its_spread_and_their_widths(spec, levels, kind):
    head = head_of(kind, spec, levels=levels)
    grid = grid_of(spec, levels)
    assert head.num_outputs == {"coral": 1, "corn": len(grid) - 1}.get(kind, len(grid))
    raw = logits(64, head.num_outputs)
    expected = probabilities_of(kind, read(head, kind, raw))
    found = head.distribution(raw).detach()
    assert found.shape == (64, len(grid)) and (found >= 0).all()
    np.testing.assert_allclose(found.double().sum(dim=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=3e-7)
    mean = expected @ grid
    np.testing.assert_allclose(head.value(raw).detach(), mean, rtol=1e-5, atol=1e-5)
    spread = np.sqrt((expected * (scaled(spec, grid) - scaled(spec, mean)[:, None]) ** 2).sum(axis=1))
    np.testing.assert_allclose(head.spread(raw).detach(), spread, rtol=1e-3, atol=2e-6)
    np.testing.assert_allclose(head.width(raw).detach(), expected @ np.gradient(scaled(spec, grid)), rtol=1e-4)


@each_kind
@each_spec
def test_a_sure_head_answers_with_the_end_of_its_range_without_spread(spec, kind):
    head = head_of(kind, spec)
    sure = torch.full((1, head.num_outputs), 1e4)
    if kind in ("classification", "ordinal"):
        sure[0, :-1] = -1e4
    assert head.value(sure).item() == pytest.approx(spec.max)  # the last class of a step grid may be clipped
    assert head.level(sure).item() == spec.num_classes - 1
    assert head.spread(sure).item() == pytest.approx(0, abs=1e-4)
    assert head.distribution(sure)[0, -1].item() == pytest.approx(1)


@each_grid
@each_spec
def test_classes_are_the_most_likely_and_ordinal_ones_the_nearest_to_the_mean(spec, levels):
    raw = logits(200, len(grid_of(spec, levels)))
    grid = grid_of(spec, levels).astype(np.float32).astype(np.float64)
    space = ParameterSpace([spec])
    likely = space.to_class(grid[raw.numpy().argmax(axis=1)][:, None])[:, 0]
    found = head_of("classification", spec, levels=levels).level(raw)
    if levels != "step":  # a level halfway between two classes may fall either way in float32
        assert (np.abs(found.numpy() - likely) <= 1).all() and (found.numpy() == likely).mean() > 0.95
    else:
        np.testing.assert_array_equal(found, raw.numpy().argmax(axis=1))
    for kind in ("ordinal", "coral", "corn"):
        head = head_of(kind, spec, levels=levels)
        given = logits(200, head.num_outputs)
        np.testing.assert_array_equal(head.level(given), space.to_class(head.value(given).detach()[:, None])[:, 0])


def test_a_mean_between_two_peaks_is_an_ordinal_answer_and_no_classification():
    raw = torch.log(torch.tensor([[0.51, 1e-9, 1e-9, 1e-9, 0.49] + [1e-9] * 12]))
    assert head_of("classification", LIN).level(raw).item() == 0
    assert head_of("ordinal", LIN).level(raw).item() == 2


def test_coral_starts_with_all_levels_alike_and_learns_its_thresholds():
    head = head_of("coral", CUT)
    np.testing.assert_allclose(head.distribution(torch.zeros(1, 1)).detach(), np.full((1, 7), 1 / 7), rtol=1e-5)
    assert (head.thresholds.diff() < 0).all()
    head.loss(logits(64, 1), torch.from_numpy(units(64)).float())[0].backward()
    assert torch.isfinite(head.thresholds.grad).all() and head.thresholds.grad.all()


@pytest.mark.parametrize("kind", ["categorical", "classification"])
def test_category_is_the_most_likely_one_and_never_a_mean(kind):
    raw = torch.tensor([[5.0, 0.0, 0.0, 4.9], [0.0, 0.0, 1.0, 0.9]])
    head = LevelHead(WAVE, HeadConfig(kind=kind))
    assert head.value(raw).tolist() == [0.0, 2.0]
    assert head.level(raw).tolist() == [0, 2]
    assert head.nominal and head.spread(raw) is None  # a distance between categories means nothing


def test_numbers_told_to_be_categories_are_read_as_such():
    raw, head = logits(64, 17), LevelHead(LIN, HeadConfig(kind="categorical"))
    np.testing.assert_allclose(head.value(raw), grid_of(LIN)[raw.numpy().argmax(axis=1)])
    assert head.nominal and head.spread(raw) is None  # a distance between categories means nothing


def test_evidential_logits_are_read_as_the_mean_of_their_dirichlet_and_their_value_by_the_evidence():
    raw = logits(64, 17)
    head = head_of("classification", LIN, loss="evidential_classification")
    concentration = 1 + np.logaddexp(0, raw.double().numpy())
    expected = concentration / concentration.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.distribution(raw), expected, rtol=1e-5)
    belief = (concentration - 1) / (concentration - 1).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.value(raw), belief @ grid_of(LIN), rtol=1e-5, atol=1e-6)
    spread = np.sqrt((expected * (grid_of(LIN) - (belief @ grid_of(LIN))[:, None]) ** 2).sum(axis=1)) / 8
    np.testing.assert_allclose(head.spread(raw), spread, rtol=1e-5)


@each_spec
def test_evidential_logits_without_evidence_answer_with_the_mean_of_the_levels(spec):
    head = head_of("classification", spec, loss="evidential_classification")
    found = head.value(torch.full((1, head.num_outputs), -1e4)).item()
    assert found == pytest.approx(grid_of(spec).mean(), rel=1e-5)


SOFT = [{"mode": "triangular", "width": 1}, {"mode": "triangular", "width": 3}, {"mode": "gaussian", "sigma": 1.5}]


@pytest.mark.parametrize("options", SOFT, ids=["narrow", "wide", "gaussian"])
@each_spec
def test_soft_targets_bias_no_value_and_add_no_spread(spec, options):
    """A network that gives exactly the target of each level answers with that level, without any spread."""
    head = head_of("classification", spec, loss={"_target_": "soft_target", **options})
    raw = head.loss_function.table.log().clamp_min(-1e4)
    np.testing.assert_allclose(head.value(raw), grid_of(spec), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(head.spread(raw), 0, atol=2e-4)
    mean = head.distribution(raw) @ head.grid
    assert mean[0] > head.grid[0] + 0.3 * (head.grid[1] - head.grid[0])  # else this would test nothing


def test_soft_targets_values_lie_between_those_of_their_levels_and_within_the_range():
    head = head_of("classification", LIN, loss="soft_target")
    table = head.loss_function.table
    between = torch.lerp(table[:-1], table[1:], 0.25)
    np.testing.assert_allclose(
        head.value(between.log().clamp_min(-1e4)), grid_of(LIN)[:-1] + 0.125, rtol=1e-5, atol=1e-5
    )
    sure = torch.full((2, 17), -1e4)
    sure[0, 0] = sure[1, -1] = 0.0  # surer than any target
    np.testing.assert_allclose(head.value(sure), [-2, 6])
    assert head.spread(sure).tolist() == [0, 0]


def built(kind, name):
    kinds = {"regression": RegressionHead} | KINDS
    return kinds[kind](LIN, HeadConfig(kind=kind, loss={"_target_": name}))


@pytest.mark.parametrize(
    ("kind", "wrong", "some", "never"),
    [
        ("regression", "cross_entropy", {"distance", "huber", "normalized_regression"}, {"crps", "coral", "mel"}),
        ("classification", "huber", {"cross_entropy", "focal", "soft_target", "crps"}, {"coral", "gaussian_nll"}),
        ("ordinal", "corn", {"ordinal_regression", "dice"}, {"coral", "corn", "quantized_regression"}),
        ("coral", "corn", {"coral"}, {"corn", "crps", "focal", "distance"}),
        ("corn", "coral", {"corn"}, {"coral", "crps", "focal", "distance"}),
    ],
)
def test_a_loss_that_does_not_suit_a_kind_names_those_that_do(kind, wrong, some, never):
    with pytest.raises(ValueError, match=rf"^loss .*'{wrong}'.* does not suit an? {kind} head; give one of ") as raised:
        built(kind, wrong)
    named = set(str(raised.value).split("; give one of ")[1].split(", "))
    assert some <= named and not never & named
    for name in named:
        head = built(kind, name)
        loss, _ = head.loss(logits(8, head.num_outputs), torch.from_numpy(units(8)).float())
        assert loss.ndim == 0 and torch.isfinite(loss), name
    for name in set(Loss.registry) - named - {"weighted_multi"}:
        with pytest.raises(ValueError, match=r"does not suit|give .* as well|argument"):
            built(kind, name)


def test_context_reaches_the_loss_and_yields_to_the_config():
    assert head_of("ordinal", CUT).loss_function.distance.scale == pytest.approx(1 / 6)  # shares of the range
    assert head_of("ordinal", CUT, levels=256).loss_function.distance.scale == pytest.approx(1 / 255)
    given = {"_target_": "ordinal_regression", "param_range": [0.3, 0.85]}
    assert head_of("ordinal", CUT, loss=given).loss_function.distance.scale == pytest.approx(0.55 / 6)


@each_spec
def test_a_range_of_ones_own_puts_a_loss_into_the_unit(spec):
    raw, target = logits(64, 1), torch.from_numpy(units(64)).float()
    own = {"_target_": "normalized_regression", "loss_type": "l1", "param_range": [spec.min, spec.max]}
    in_unit, _ = RegressionHead(spec, HeadConfig(loss=own)).loss(raw, target)
    in_shares, _ = RegressionHead(spec, HeadConfig(loss={key: own[key] for key in ("_target_", "loss_type")})).loss(
        raw, target
    )
    assert in_unit.item() == pytest.approx((spec.max - spec.min) * in_shares.item(), rel=1e-4)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_heads_loss_is_a_mean(reduction):
    with pytest.raises(ValueError, match=f"^reduction: '{reduction}' given; a head's loss is a mean, so leave it out$"):
        RegressionHead(LIN, HeadConfig(loss={"_target_": "l1", "reduction": reduction}))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "ordinary"}, "Input should be 'regression'"),
        ({"levels": 256}, "levels is for classification and ordinal and coral and corn heads, .* kind is regression"),
        ({"kind": "mixture", "levels": "step"}, "levels is for"),
        ({"kind": "classification", "variance": True}, "variance is for regression heads, .* kind is classification"),
        ({"components": 2}, "components is for mixture heads, but this head's kind is regression"),
        ({"kind": "classification", "levels": 1}, "levels 1 given; give step, or a number from 2 to 65536"),
        ({"kind": "classification", "levels": 65537}, "levels 65537 given"),
        ({"kind": "mixture", "components": 0}, "greater than or equal to 1"),
        ({"weight": -1}, "greater than or equal to 0"),
        ({"huber_delta": 0.1}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_option_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        HeadConfig(**given)


def test_what_label_smoothing_asks_of_every_level_is_no_part_of_the_answer():
    """The loss is least at q = 0.9 p + 0.1 / K: it is read as p."""
    head = head_of("classification", LIN, loss={"_target_": "cross_entropy", "label_smoothing": 0.1})
    p = softmax(logits(64, head.num_outputs).double().numpy(), axis=1)
    raw = torch.from_numpy(np.log(0.9 * p + 0.1 / head.num_outputs)).float()
    np.testing.assert_allclose(head.distribution(raw), p, rtol=1e-3, atol=1e-6)
    certain = torch.full((1, head.num_outputs), -50.0).index_fill_(1, torch.tensor([3]), 50.0)
    assert head.value(certain).item() == pytest.approx(grid_of(LIN)[3])


def test_a_number_of_classes_that_is_not_the_heads_is_told():
    with pytest.raises(ValueError, match=r"^num_classes: 20 given, but the head has \d+ levels; leave it out$"):
        head_of("classification", LIN, loss={"_target_": "weighted_cross_entropy", "num_classes": 20})


def test_losses_in_the_parameters_unit_may_be_several_of_one_range():
    def head(loss):
        return RegressionHead(LIN, HeadConfig(kind="regression", loss=loss))

    one = {"loss": "normalized_regression"}
    several = {"_target_": "weighted_multi", "losses": [one, one | {"name": "twice", "weight": 2}]}
    raw, target = logits(16, 1), torch.rand(16)
    alone, total = (head(loss).loss(raw, target)[0].item() for loss in ("normalized_regression", several))
    assert total == pytest.approx(3 * alone)
    other = {"loss": {"_target_": "normalized_regression", "param_range": [0, 5]}, "name": "other"}
    with pytest.raises(ValueError, match="their param_range differ"):
        head({"_target_": "weighted_multi", "losses": [one, other]})


@pytest.mark.parametrize("kind", ["regression", "gaussian", "evidential", "mixture", *KINDS])
@each_spec
def test_a_score_is_the_value_on_the_unit_scale_with_its_own_gradient(kind, spec):
    given = {"kind": "regression", "variance": True} if kind == "gaussian" else {"kind": kind}
    (head,) = MultiHead(8, ParameterSpace([spec]), {spec.name: HeadConfig(**given)}).heads.values()
    raw = logits(1, head.num_outputs, scale=0.5).requires_grad_()
    score = head.score(raw, raw.detach())
    torch.testing.assert_close(score, to_unit(spec, head.value(raw)), rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(score, raw)
    direction = logits(1, head.num_outputs)
    steps = [head.score(raw.detach() + step * direction, raw.detach()) for step in (1e-2, -1e-2)]
    torch.testing.assert_close((gradient * direction).sum()[None], (steps[0] - steps[1]) / 2e-2, rtol=2e-3, atol=1e-4)


def test_a_score_is_not_limited_to_the_range():
    head = RegressionHead(LIN, HeadConfig())
    raw = torch.tensor([[9.0], [-9.0]], requires_grad=True)
    score = head.score(raw, raw)
    np.testing.assert_allclose(score.detach(), unit_of(raw.detach()), rtol=1e-6)
    assert score[0] > 1.0 and score[1] < 0.0


@pytest.mark.parametrize("kind", ["categorical", "coral", "corn"])
def test_the_score_of_a_category_is_that_of_the_explained_one(kind):
    (head,) = MultiHead(8, ParameterSpace([WAVE]), {"wave": HeadConfig(kind=kind)}).heads.values()
    raw = logits(5, head.num_outputs)
    explained = raw[3:4]
    numbers = raw if kind == "categorical" else head.distribution(raw)
    assert torch.equal(head.score(raw, explained), numbers[:, int(head.value(explained))])
    assert len({int(category) for category in head.value(raw)}) > 1
