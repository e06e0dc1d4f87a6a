"""Overlap of boxes (B, 4): x1, y1, x2, y2 in any unit, with x1 < x2 and y1 < y2.

The gradient of the IoU vanishes if two boxes do not touch; the other losses add a distance. A loss is computed by
torchvision, which is imported only when it is used.
"""

from torch import Tensor

from src.models.losses.base import Loss

_EPSILON = 1e-7  # of an area, as torchvision's


class BoxIoULoss(Loss, name="box_iou", takes=("boxes",)):
    """1 - IoU, with the IoU |A and B| / |A or B|; in [0, 1].

    Source: Yu et al., UnitBox: An Advanced Object Detection Network, arXiv 1608.01471, without the logarithm.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        low = prediction[:, :2].maximum(target[:, :2])
        high = prediction[:, 2:].minimum(target[:, 2:])
        common = (high - low).clamp_min(0.0).prod(dim=1)
        areas = [(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (prediction, target)]
        return 1.0 - common / (areas[0] + areas[1] - common + _EPSILON)


class GIoULoss(Loss, name="giou", takes=("boxes",)):
    """1 - IoU + the share of the smallest enclosing box that neither box covers; in [0, 2].

    Source: Rezatofighi et al., Generalized Intersection over Union, arXiv 1902.09630.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        from torchvision.ops import generalized_box_iou_loss

        return generalized_box_iou_loss(prediction, target, eps=_EPSILON)


class DIoULoss(Loss, name="diou", takes=("boxes",)):
    """1 - IoU + the squared distance of the centres, relative to the squared diagonal of the enclosing box; in [0, 2].

    Source: Zheng et al., Distance-IoU Loss, arXiv 1911.08287.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        from torchvision.ops import distance_box_iou_loss

        return distance_box_iou_loss(prediction, target, eps=_EPSILON)


class CIoULoss(Loss, name="ciou", takes=("boxes",)):
    """DIoU + a penalty on the difference of the aspect ratios.

    Source: Zheng et al., Distance-IoU Loss, arXiv 1911.08287, equation 10.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        from torchvision.ops import complete_box_iou_loss

        return complete_box_iou_loss(prediction, target, eps=_EPSILON)
