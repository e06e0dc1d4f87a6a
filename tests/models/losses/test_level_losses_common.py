"""What every loss on levels and distributions keeps to, whatever its formula."""

import math

import pytest
import torch

from src.models.losses.levels.cross_entropy import CrossEntropyLoss, WeightedCrossEntropyLoss
from src.models.losses.levels.cumulative_logits import CoralLoss, CornLoss
from src.models.losses.levels.focal import FocalLoss
from src.models.losses.levels.ordinal import NormalizedRegressionLoss, OrdinalRegressionLoss, QuantizedRegressionLoss
from src.models.losses.levels.overlap import DiceCrossEntropyLoss, DiceLoss, SoftIoULoss, TverskyLoss
from src.models.losses.levels.soft_target import SoftTargetLoss
from src.models.losses.values.crps import CRPSLoss, GaussianCRPSLoss
from src.models.losses.values.evidential import EvidentialClassificationLoss, EvidentialRegressionLoss
from src.models.losses.values.likelihood import GaussianNLLLoss, MixtureNLLLoss

LOSSES = {
    "cross_entropy": lambda k: CrossEntropyLoss(),
    "cross_entropy-smooth": lambda k: CrossEntropyLoss(label_smoothing=0.1),
    "weighted_cross_entropy": lambda k: WeightedCrossEntropyLoss(k),
    "soft_target": lambda k: SoftTargetLoss(k, width=2),
    "soft_target-gaussian": lambda k: SoftTargetLoss(k, mode="gaussian", sigma=1.5),
    "soft_target-log_triangular": lambda k: SoftTargetLoss(k, mode="log_triangular", width=3),
    "focal": lambda k: FocalLoss(),
    "focal-root": lambda k: FocalLoss(gamma=0.5, alpha=[1.0] * (k - 1) + [3.0], num_classes=k),
    "focal-smooth": lambda k: FocalLoss(gamma=0.5, alpha=0.25, label_smoothing=0.1),
    "focal-balanced": lambda k: FocalLoss(alpha="effective_number", class_counts=range(1, k + 1)),
    "dice": lambda k: DiceLoss(),
    "soft_iou": lambda k: SoftIoULoss(),
    "dice_cross_entropy": lambda k: DiceCrossEntropyLoss(),
    "tversky": lambda k: TverskyLoss(0.3, 0.7),
    "crps": lambda k: CRPSLoss(),
    "coral": lambda k: CoralLoss(),
    "corn": lambda k: CornLoss(),
    "ordinal_regression": lambda k: OrdinalRegressionLoss(k, 3.0),
    "ordinal_regression-l2": lambda k: OrdinalRegressionLoss(k, (-1, 2), "l2"),
    "ordinal_regression-huber": lambda k: OrdinalRegressionLoss(k, 3.0, "huber"),
    "quantized_regression": lambda k: QuantizedRegressionLoss(k, 3.0),
    "quantized_regression-huber": lambda k: QuantizedRegressionLoss(k, 3.0, "huber"),
    "normalized_regression": lambda k: NormalizedRegressionLoss((-1, 2)),
    "normalized_regression-huber": lambda k: NormalizedRegressionLoss((-1, 2), "huber"),
    "gaussian_crps": lambda k: GaussianCRPSLoss(),
    "gaussian_nll": lambda k: GaussianNLLLoss(),
    "gaussian_nll-beta": lambda k: GaussianNLLLoss(beta=0.5),
    "mixture_nll": lambda k: MixtureNLLLoss(),
    "evidential_classification": lambda k: annealed(EvidentialClassificationLoss()),
    "evidential_regression": lambda k: EvidentialRegressionLoss(),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
SHAPES = {"thresholds": -1, "conditional_thresholds": -1, "gaussian": 2, "mixture": 9, "evidence": 4}
REAL = ("physical", "gaussian", "mixture", "evidence")


def annealed(loss):
    loss.step.fill_(loss.annealing_steps // 2)
    return loss.eval()


def example(loss, num_classes, batch=6, dtype=torch.float32):
    """Return a random prediction and target of what a loss takes; the targets hold both end levels."""
    generator = torch.Generator().manual_seed(num_classes)
    takes = loss.takes[0]
    columns = num_classes + SHAPES["thresholds"] if takes.endswith("thresholds") else SHAPES.get(takes, num_classes)
    prediction = torch.randn(batch, columns, generator=generator, dtype=torch.float64).to(dtype)
    if takes in ("level_value", "physical"):
        prediction = prediction[:, 0].contiguous()
    if takes in REAL:
        return prediction, torch.randn(batch, generator=generator, dtype=torch.float64).to(dtype)
    target = torch.randint(num_classes, (batch,), generator=generator)
    target[0], target[1] = 0, num_classes - 1
    return prediction, target


@every_loss
@pytest.mark.parametrize("num_classes", [2, 256])
def test_one_value_per_example_in_float32_and_its_reductions(name, num_classes):
    loss = LOSSES[name](num_classes)
    prediction, target = example(loss, num_classes)
    assert loss(prediction, target).ndim == 0
    loss.reduction = "none"
    values = loss(prediction, target)
    assert values.shape == (6,) and values.dtype == torch.float32 and torch.isfinite(values).all()
    loss.reduction = "sum"
    torch.testing.assert_close(loss(prediction, target), values.sum())
    loss.reduction = "mean"
    torch.testing.assert_close(loss(prediction, target), values.sum() / 6)


@every_loss
@pytest.mark.parametrize("num_classes", [2, 5, 256])
def test_an_example_alone_costs_what_it_costs_in_a_batch(name, num_classes):
    loss = LOSSES[name](num_classes)
    loss.reduction = "none"
    prediction, target = example(loss, num_classes, dtype=torch.float64)  # float32 sums depend on the batch's shape
    alone = torch.cat([loss(prediction[at : at + 1], target[at : at + 1]) for at in range(6)])
    torch.testing.assert_close(loss(prediction, target), alone, rtol=1e-10, atol=1e-10)


# beta holds a weight constant, so that its gradient belongs to no function; test_likelihood knows it
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "gaussian_nll-beta"])
def test_gradient_matches_finite_differences_in_float64(name):
    loss = LOSSES[name](4)
    loss.reduction = "none"
    prediction, target = example(loss, 4, batch=4, dtype=torch.float64)
    assert loss(prediction, target).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda one: loss(one, target), prediction.requires_grad_())


@every_loss
@pytest.mark.parametrize("num_classes", [2, 256])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_counts_as_the_same_numbers_in_float32(name, num_classes, dtype):
    loss = LOSSES[name](num_classes)
    prediction, target = example(loss, num_classes, dtype=dtype)
    prediction.requires_grad_()
    value = loss(prediction, target)
    expected = loss(prediction.detach().float(), target.float() if target.is_floating_point() else target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.detach(), expected)
    value.backward()
    assert torch.isfinite(prediction.grad).all()


@every_loss
@pytest.mark.parametrize("num_classes", [2, 256])
@pytest.mark.parametrize("size", [0.0, 60.0, 1e4])
def test_extremes_stay_finite(name, num_classes, size):
    """Equal logits, and sure ones: right, wrong, and at either end of what a network may put out."""
    loss = LOSSES[name](num_classes)
    loss.reduction = "none"
    prediction, target = example(loss, num_classes, batch=8)
    if prediction.ndim == 1 or loss.takes[0] in REAL:
        target[-1] = 0.0
    signs = torch.full_like(prediction, -1.0)
    signs[2:4] = 1.0
    if signs.ndim == 2:
        signs[4:6, 0] = 1.0
        signs[6:, ::2] = 1.0
    prediction = (size * signs).requires_grad_()
    values = loss(prediction, target)
    assert torch.isfinite(values).all()
    values.sum().backward()
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name](3).takes[0] == "levels"])
@pytest.mark.parametrize("size", [20.0, 1e4])
def test_a_sure_and_right_level_is_cheaper_than_any_other(name, size):
    loss = LOSSES[name](5)
    loss.reduction = "none"
    values = torch.stack([loss(size * torch.eye(5), torch.full((5,), level)) for level in range(5)])
    assert torch.equal(values.argmin(dim=1), torch.arange(5))


NEAR = ["weighted_cross_entropy", "tversky", "crps", "coral", "ordinal_regression", "ordinal_regression-l2"]


@pytest.mark.parametrize("name", NEAR)
def test_a_sure_level_costs_more_the_farther_it_is_off(name):
    loss = LOSSES[name](5)
    loss.reduction = "none"
    logits = 20.0 * torch.eye(5)
    if name == "coral":
        logits = 20.0 * (torch.arange(5)[:, None] > torch.arange(4)).float() - 10.0
    values = loss(logits, torch.zeros(5, dtype=torch.int64))
    assert (values.diff() > 1e-3).all()


@pytest.mark.parametrize("name", ["focal", "dice", "soft_iou", "dice_cross_entropy"])
def test_levels_given_as_reals_are_no_distribution(name):
    with pytest.raises(ValueError, match=r"prediction \(4, 4\) float32 and target \(4,\) float32 given; it takes "):
        LOSSES[name](4)(torch.zeros(4, 4), torch.arange(4.0))


def test_a_mean_over_a_batch_of_one_is_the_value():
    loss = CornLoss()
    assert loss(torch.zeros(1, 3), torch.tensor([0])).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: CrossEntropyLoss(label_smoothing=1.0),
            "label_smoothing: 1.0 given; it must be at least 0 and below 1",
        ),
        (lambda: CrossEntropyLoss(reduction="batchmean"), "reduction: 'batchmean' given; give one of none, mean, sum"),
        (
            lambda: WeightedCrossEntropyLoss(1),
            "num_classes: 1 given; it must be from 2 to 4096, to limit a table of pairs",
        ),
        (lambda: WeightedCrossEntropyLoss(4, distance_power=-1), "distance_power: -1 given; it must be from 0 to 8"),
        (lambda: WeightedCrossEntropyLoss(4, base_weight=-1), "base_weight: -1 given; it must be from 0 to 1e6"),
        (lambda: SoftTargetLoss(5000), "num_classes: 5000 given; it must be from 2 to 4096, to limit a table of pairs"),
        (lambda: SoftTargetLoss(4, mode="box"), "mode: 'box' given; give one of triangular, log_triangular, gaussian"),
        (lambda: SoftTargetLoss(4, width=-1), "width: -1 given; it must be at least 0 levels"),
        (lambda: SoftTargetLoss(4, sigma=0), "sigma: 0 given; it must be above 0 levels"),
        (lambda: FocalLoss(gamma=-1), "gamma: -1 given; it must be at least 0"),
        (lambda: FocalLoss(label_smoothing=2), "label_smoothing: 2 given; it must be at least 0 and below 1"),
        (lambda: FocalLoss(alpha=[0.0, 0.0]), "alpha: [0.0, 0.0] given; it must be finite, at least 0 and not all 0"),
        (
            lambda: FocalLoss(alpha="balanced"),
            "alpha: 'balanced' given; give a number, one per level, or effective_number",
        ),
        (lambda: FocalLoss(class_counts=[1, 2]), "class_counts: [1, 2] given; only alpha: effective_number uses them"),
        (lambda: FocalLoss(alpha="effective_number"), "class_counts: None given; alpha: effective_number needs one"),
        (
            lambda: FocalLoss(alpha="effective_number", class_counts=[1, -1]),
            "class_counts: [1, -1] given; it must be at least 0",
        ),
        (
            lambda: FocalLoss(alpha="effective_number", class_counts=[1, 2], beta=1),
            "beta: 1 given; it must be at least 0 and bel",
        ),
        (lambda: FocalLoss(alpha=[1.0, 2.0], num_classes=3), "num_classes: 3 given; alpha has 2"),
        (lambda: DiceCrossEntropyLoss(dice_weight=-1), "dice_weight: -1 given; it must be at least 0"),
        (
            lambda: DiceCrossEntropyLoss(cross_entropy_weight=-1),
            "cross_entropy_weight: -1 given; it must be at least 0",
        ),
        (lambda: DiceCrossEntropyLoss(0, 0), "dice_weight and cross_entropy_weight: (0, 0) given; one must be above 0"),
        (lambda: TverskyLoss(-1, 1), "alpha: -1 given; it must be at least 0"),
        (lambda: TverskyLoss(1, -1), "beta: -1 given; it must be at least 0"),
        (lambda: TverskyLoss(0, 0), "alpha and beta: (0, 0) given; one must be above 0"),
        (lambda: OrdinalRegressionLoss(1, 1.0), "num_classes: 1 given; it must be from 2 to 65536"),
        (lambda: OrdinalRegressionLoss(4, 0.0), "param_range: 0.0 given; max must be above min, and both finite"),
        (lambda: OrdinalRegressionLoss(4, (2, 1)), "param_range: (2, 1) given; max must be above min, and both finite"),
        (lambda: OrdinalRegressionLoss(4, (1, 2, 3)), "param_range: (1, 2, 3) given; give max - min or (min, max)"),
        (lambda: OrdinalRegressionLoss(4, 1.0, "l3"), "regression_loss: 'l3' given; give one of l1, l2, mse, huber"),
        (lambda: OrdinalRegressionLoss(4, 1.0, alpha=-1), "alpha: -1 given; it must be at least 0"),
        (lambda: OrdinalRegressionLoss(4, 1.0, huber_delta=0), "huber_delta: 0 given; it must be above 0"),
        (lambda: QuantizedRegressionLoss(4, 1.0, "l3"), "loss_type: 'l3' given; give one of l1, l2, mse, huber"),
        (lambda: NormalizedRegressionLoss(2.0), "param_range: 2.0 given; give (min, max)"),
        (lambda: NormalizedRegressionLoss((1, 1)), "param_range: (1, 1) given; max must be above min, and both finite"),
        (lambda: GaussianNLLLoss(beta=2), "beta: 2 given; it must be from 0 to 1"),
        (lambda: EvidentialClassificationLoss(annealing_steps=0), "annealing_steps: 0 given; it must be at least 1"),
        (lambda: EvidentialRegressionLoss(coefficient=-1), "coefficient: -1 given; it must be at least 0"),
    ],
)
def test_arguments_out_of_range_get_one_line_with_the_value_and_the_remedy(build, message):
    with pytest.raises(ValueError) as caught:
        build()
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


REAL_TARGETS = [name for name in LOSSES if LOSSES[name](5).takes[0] in REAL]


@pytest.mark.parametrize(
    ("name", "place"), [*((name, "prediction") for name in LOSSES), *((name, "target") for name in REAL_TARGETS)]
)
def test_what_is_no_number_shows_in_its_own_example_only(name, place):
    loss = LOSSES[name](5)
    given = dict(zip(("prediction", "target"), example(loss, 5, dtype=torch.float64), strict=True))
    expected = loss.values(**given)
    given[place][2] = math.nan
    found = loss.values(**given)
    assert found.isfinite().tolist() == [True, True, False, True, True, True]
    kept = torch.tensor([0, 1, 3, 4, 5])
    torch.testing.assert_close(found[kept], expected[kept], rtol=1e-10, atol=1e-10)


@every_loss
def test_shapes_that_do_not_fit_are_refused(name):
    loss = LOSSES[name](5)
    prediction, target = example(loss, 5)
    cases = [(prediction[:0], target[:0]), (prediction, target[:1]), (prediction, target[:, None])]
    cases += [(prediction[..., None], target), (prediction[0], target), (prediction, None)]
    for given in cases:
        with pytest.raises(ValueError, match=rf"^{loss.label}: prediction .* given; it takes "):
            loss(*given)


WITH_LEVELS = [name for name in LOSSES if LOSSES[name](5).num_classes is not None]


@pytest.mark.parametrize("name", WITH_LEVELS)
def test_logits_of_another_number_of_levels_are_refused(name):
    assert {"weighted_cross_entropy", "soft_target", "ordinal_regression", "focal-root"} <= set(WITH_LEVELS)
    for wrong in (4, 6):
        with pytest.raises(ValueError, match=rf"prediction \(2, {wrong}\) given, but num_classes is 5"):
            LOSSES[name](5)(torch.zeros(2, wrong), torch.tensor([0, 3]))
