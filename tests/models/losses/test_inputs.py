"""Each kind of prediction and target against what is not of that kind."""

import pytest
import torch

from src.models.losses import Loss
from src.models.losses.inputs import KINDS, require_input

B, K = 4, 5
REAL, LEVELS = torch.zeros(B), torch.tensor([0, 1, 4, 2])
RIGHT = {
    "waveform": (torch.zeros(B, 7), torch.zeros(B, 7)),
    "value": (torch.zeros(B, 2, 3), torch.zeros(B, 2, 3)),
    "physical": (REAL, REAL),
    "level_value": (REAL, LEVELS),
    "levels": (torch.zeros(B, K), LEVELS),
    "maps": (torch.zeros(B, K, 2, 3), torch.arange(B * 6).reshape(B, 2, 3) % K),
    "boxes": (torch.zeros(B, 4), torch.zeros(B, 4)),
    "probabilities": (torch.zeros(B, K), torch.full((B, K), 1 / K)),
    "thresholds": (torch.zeros(B, K - 1), LEVELS),
    "conditional_thresholds": (torch.zeros(B, K - 1), LEVELS),
    "gaussian": (torch.zeros(B, 2), REAL),
    "mixture": (torch.zeros(B, 9), REAL),
    "evidence": (torch.zeros(B, 4), REAL),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def refusal(kind, prediction, target):
    with pytest.raises(ValueError) as raised:
        require_input("SomeLoss", (kind,), prediction, target)
    message = str(raised.value)
    assert message.startswith("SomeLoss: prediction ") and "\n" not in message
    assert message.endswith(f"given; it takes {KINDS[kind].description}, and neither may be empty")
    return message


def test_every_kind_is_tested_and_taken_by_a_loss():
    assert set(RIGHT) == set(KINDS)
    assert {kind for one in Loss.registry.values() for kind in one.takes} == set(KINDS)


@each_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_right_passes(kind, dtype):
    prediction, target = RIGHT[kind]
    require_input("SomeLoss", (kind,), prediction.to(dtype), target)


@each_kind
def test_an_empty_batch_is_refused(kind):
    prediction, target = RIGHT[kind]
    refusal(kind, prediction[:0], target[:0])


@each_kind
def test_a_target_of_another_batch_or_another_shape_is_refused(kind):
    prediction, target = RIGHT[kind]
    for wrong in (target[:1], target[..., None], target.flatten(), torch.tensor(1.0)):
        if wrong.shape != target.shape:
            refusal(kind, prediction, wrong)


@each_kind
def test_a_target_of_another_type_is_refused(kind):
    prediction, target = RIGHT[kind]
    refusal(kind, prediction, target.long() if target.is_floating_point() else target.float())
    refusal(kind, prediction, None)
    if kind != "waveform":
        assert "target of type tuple" in refusal(kind, prediction, (target,))


@each_kind
def test_a_prediction_of_another_type_or_shape_is_refused(kind):
    prediction, target = RIGHT[kind]
    for wrong in (prediction.long(), torch.tensor(1.0), prediction[:1], prediction[..., None], None):
        refusal(kind, wrong, target)


@pytest.mark.parametrize(("kind", "columns"), [("gaussian", 3), ("mixture", 10), ("evidence", 5)])
def test_a_number_of_columns_that_does_not_fit_is_refused(kind, columns):
    refusal(kind, torch.zeros(B, columns), REAL)


@pytest.mark.parametrize("level", [-1, K])
def test_a_level_out_of_range_in_a_map_is_refused_and_shown(level):
    prediction, target = RIGHT["maps"]
    low, high = min(level, 0), max(level, K - 1)
    assert f"int64 from {low} to {high} given" in refusal(
        "maps", prediction, target.index_fill(1, torch.tensor(1), level)
    )


@pytest.mark.parametrize("kind", ["levels", "thresholds", "conditional_thresholds"])
@pytest.mark.parametrize("level", [-1, K])
def test_a_level_out_of_range_is_refused_and_shown(kind, level):
    low, high = min(level, 0), max(level, 4)
    assert f"int64 from {low} to {high} given" in refusal(kind, RIGHT[kind][0], torch.tensor([0, 4, 1, level]))


def test_what_a_loss_prepared_from_audio_passes_beside_audio_only():
    require_input("SomeLoss", ("waveform", "value"), torch.zeros(B, 7), ("features",))
    refusal("waveform", torch.zeros(7), ("features",))


def test_one_of_several_kinds_is_enough():
    require_input("SomeLoss", ("waveform", "value"), REAL, REAL)
    require_input("SomeLoss", ("levels", "probabilities"), *RIGHT["probabilities"])
    with pytest.raises(ValueError, match=r"it takes audio \(B, T\) .*; or reals \(B, ...\)"):
        require_input("SomeLoss", ("waveform", "value"), REAL, LEVELS)
