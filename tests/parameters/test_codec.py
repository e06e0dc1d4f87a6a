"""One encoding for arrays and tensors: both give what its formulas say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.parameters import codec
from src.parameters.spec import ParameterSpec
from tests.synth.references import repeatable

LINEAR = ParameterSpec(name="velocity", min=100, max=127, step=5)
LOG = ParameterSpec(name="cutoff", min=20, max=20_000, step=1000, scale="log")
both = pytest.mark.parametrize("spec", [LINEAR, LOG], ids=["linear", "log"])


@both
@repeatable
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_tensors_are_encoded_as_arrays(spec, unit):
    unit = np.array(unit)
    values = codec.to_physical(spec, unit)
    for encode, argument in (
        (codec.to_physical, unit),
        (codec.to_unit, values),
        (codec.physical_per_unit, values),
        (codec.to_class, values),
        (codec.from_class, codec.to_class(spec, values)),
    ):
        expected = encode(spec, argument)
        np.testing.assert_allclose(encode(spec, torch.tensor(argument)), expected, rtol=1e-6)  # of integers: float32


@both
def test_the_derivative_is_that_of_the_values(spec):
    unit = torch.linspace(0, 1, 9, dtype=torch.float64, requires_grad=True)
    values = codec.to_physical(spec, unit)
    (slope,) = torch.autograd.grad(values.sum(), unit)
    torch.testing.assert_close(codec.physical_per_unit(spec, values), slope)


@both
def test_a_shift_by_all_classes_spans_the_range(spec):
    end = codec.shift_by_classes(spec, spec.min, spec.num_classes - 1)
    assert spec.max - spec.step < end <= spec.max * (1 + 1e-12)
    assert codec.shift_by_classes(spec, end, 1 - spec.num_classes) == pytest.approx(spec.min)


def test_classes_are_int64_and_float32_stays_float32():
    values = torch.tensor([20.0, 2000.0, 19_000.0])
    assert codec.to_class(LOG, values).dtype == torch.int64
    assert codec.to_class(LOG, values.numpy()).dtype == np.int64
    assert codec.from_class(LOG, torch.arange(3)).dtype == torch.float32
    unit = codec.to_unit(LOG, values)
    assert unit.dtype == torch.float32
    assert unit[1].item() == pytest.approx(math.log(100) / math.log(1000))
