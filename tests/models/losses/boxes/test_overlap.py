"""Losses of boxes against the formulas of their papers, in numpy."""

import math

import numpy as np
import pytest
import torch

from src.models.losses import create_loss_function

# overlapping, inside, equal, apart
FIRST = np.array([[0.0, 0, 4, 2], [0, 0, 10, 10], [1, 2, 3, 5], [0, 0, 1, 1]])
SECOND = np.array([[2.0, 1, 6, 4], [2, 3, 4, 9], [1, 2, 3, 5], [3, 4, 5, 8]])


def reference(name, one, other):
    """Return the loss of two boxes, from the papers' formulas."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    sizes = [(box[2] - box[0], box[3] - box[1]) for box in (one, other)]
    union = sum(w * h for w, h in sizes) - width * height
    iou = width * height / union
    around = (max(one[2], other[2]) - min(one[0], other[0]), max(one[3], other[3]) - min(one[1], other[1]))
    if name == "giou":
        return 1 - iou + (around[0] * around[1] - union) / (around[0] * around[1])
    if name == "box_iou":
        return 1 - iou
    centres = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (one, other)]
    loss = 1 - iou + math.dist(*centres) ** 2 / math.hypot(*around) ** 2
    if name == "ciou":
        v = 4 / math.pi**2 * (math.atan(sizes[1][0] / sizes[1][1]) - math.atan(sizes[0][0] / sizes[0][1])) ** 2
        loss += v * v / (1 - iou + v) if v else 0.0
    return loss


@pytest.mark.parametrize("name", ["box_iou", "giou", "diou", "ciou"])
def test_losses_of_boxes_are_those_of_the_papers_and_their_gradients_are_finite(name):
    loss = create_loss_function({"_target_": name, "reduction": "none"})
    prediction = torch.tensor(FIRST, requires_grad=True)
    found = loss(prediction, torch.tensor(SECOND))
    expected = [reference(name, one, other) for one, other in zip(FIRST, SECOND, strict=True)]
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    found.sum().backward()
    assert prediction.grad.isfinite().all()
    if name != "box_iou":
        assert prediction.grad[3].abs().sum() > 0  # boxes apart still have a gradient


def test_only_boxes_are_taken():
    loss = create_loss_function("giou")
    with pytest.raises(ValueError, match=r"GIoULoss: prediction \(2, 3\) float32 .*it takes boxes \(B, 4\)"):
        loss(torch.zeros(2, 3), torch.zeros(2, 3))
