"""What every loss inherits: a name, one value an example, reductions, and float32 under any precision."""

import numpy as np
import pytest
import torch

from src.models.losses.base import Loss


@pytest.fixture
def product():
    """A loss whose matrix product autocast would round: x . y of each example; known as long as a test runs."""

    class ProductLoss(Loss, name="product_of_test", takes=("value",)):
        def per_example(self, prediction, target):
            self.seen = prediction.dtype, torch.is_autocast_enabled("cpu")
            return (prediction[:, None] @ target[:, :, None])[:, 0, 0]

    yield ProductLoss
    del Loss.registry["product_of_test"]


def pair(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 5, 16, generator=generator, dtype=torch.float64).to(dtype).unbind()


def test_a_subclass_is_known_by_its_name_and_says_what_it_takes(product):
    assert Loss.registry["product_of_test"] is product and product.takes == ("value",) and Loss.takes == ()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions_match_numpy(product, reduction):
    prediction, target = pair(torch.float64)
    each = (prediction.numpy() * target.numpy()).sum(axis=1)
    found = product(reduction)(prediction, target)
    np.testing.assert_allclose(found, each if reduction == "none" else getattr(each, reduction)(), rtol=1e-12)
    np.testing.assert_allclose(product(reduction).values(prediction, target), each, rtol=1e-12)
    assert found.dtype == torch.float64


def test_the_mean_is_the_reduction_when_none_is_given(product):
    assert product().reduction == "mean"


@pytest.mark.parametrize("given", ["avg", None, True])
def test_another_reduction_is_refused(product, given):
    with pytest.raises(ValueError, match=rf"^reduction: {given!r} given; give one of none, mean, sum$"):
        product(given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_widened_before_anything_is_computed(product, dtype):
    prediction, target = pair(dtype)
    loss = product("none")
    found = loss(prediction, target)
    assert found.dtype == torch.float32 and loss.seen == (torch.float32, False)
    products = prediction.double().numpy() * target.double().numpy()
    rounding = 16 * torch.finfo(torch.float32).eps * abs(products).sum(axis=1)  # of a sum of 16 products, in any order
    assert (abs(found.double().numpy() - products.sum(axis=1)) <= rounding).all()


def test_autocast_is_off_inside_and_on_again_outside(product):
    prediction, target = pair()
    plain = product()(prediction, target)
    with torch.autocast("cpu", torch.bfloat16):
        loss = product()
        assert torch.equal(loss(prediction, target), plain)
        assert loss.seen == (torch.float32, False) and torch.is_autocast_enabled("cpu")
        assert (prediction @ target.T).dtype == torch.bfloat16  # else this would test nothing


@pytest.fixture
def declared():
    """Make subclasses of a test, and forget them."""
    before = dict(Loss.registry)

    def declare(members=None, **given):
        return type(
            "OwnLoss", (Loss,), members or {"per_example": lambda self, prediction, target: prediction}, **given
        )

    yield declare
    Loss.registry.clear()
    Loss.registry.update(before)


@pytest.mark.parametrize(
    ("members", "given"),
    [
        (None, {}),
        (None, {"name": "own_of_test"}),
        (None, {"takes": ("value",)}),
        ({"forward": lambda self, prediction, target: prediction.sum()}, {"name": "own_of_test", "takes": ("value",)}),
    ],
    ids=["bare", "no takes", "no name", "no per_example"],
)
def test_a_subclass_that_leaves_something_out_is_told_all_that_it_needs(declared, members, given):
    with pytest.raises(TypeError) as raised:
        declared(members, **given)
    message = str(raised.value)
    assert message.startswith("OwnLoss: a loss needs a name, what it takes, and per_example: class OwnLoss(Loss, name=")
    assert "one value per example, (B,)" in message and "levels" in message and "\n" not in message
    assert "own_of_test" not in Loss.registry


def test_a_subclass_may_say_in_one_word_what_it_takes(declared):
    assert declared(name="own_of_test", takes="value").takes == ("value",)


def test_a_kind_that_does_not_exist_or_a_name_that_is_taken_is_refused(declared):
    with pytest.raises(TypeError, match=r"OwnLoss: takes 'values' given; it must be one or more of waveform, value, "):
        declared(name="own_of_test", takes=("values",))
    with pytest.raises(TypeError, match="OwnLoss: the name 'huber' belongs to HuberLoss; choose another"):
        declared(name="huber", takes=("value",))


def test_a_loss_that_does_not_return_one_value_per_example_is_told(declared):
    loss = declared(name="own_of_test", takes=("value",))()
    with pytest.raises(ValueError, match=r"OwnLoss: per_example returned \(5, 16\) for .*\(5, 16\); return .* \(5,\)"):
        loss(*pair())
