"""Non-maximum suppression as a loop: what the package is checked against."""

from torch import Tensor
from torchvision.ops import box_iou


def slow_nms(boxes: Tensor, scores: Tensor, iou: float) -> list[int]:
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        # Two boxes without area overlap by 0 / 0, which is not more than anything.
        if not any(box_iou(boxes[i : i + 1], boxes[k : k + 1]).item() > iou for k in kept):
            kept.append(i)
    return kept
