"""Soft-NMS: what a better object overlaps loses score instead of being dropped.

Source: Bodla et al., "Soft-NMS -- Improving Object Detection With One Line of Code" (1704.04503),
with their linear decay, equation 4. IoU is that of continuous boxes, as everywhere in this package;
the authors' code and mmdetection's counts inclusive pixels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou


def soft_suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, *, iou: float, least: float
) -> tuple[Tensor, Tensor]:
    """Lower the scores of boxes that better boxes of their class overlap.

    Boxes are taken by their scores so far, the highest first. Every box of the class that is not
    taken yet and overlaps the taken one by more than `iou` has its score multiplied by 1 - IoU.

    Args:
        boxes: (N, 4), xyxy in pixels.
        scores: (N,), at least 0.
        labels: (N,) int64, classes.
        iou: an overlap that still lowers nothing.
        least: a box whose score ends below this is dropped.

    Returns:
        Indices (R,) of the boxes that are kept and their new scores (R,), highest-scoring first.
    """
    new = scores.clone()
    for label in labels.unique():
        (of_class,) = torch.nonzero(labels == label, as_tuple=True)
        of_class = of_class[scores[of_class] >= least]
        overlaps = box_iou(boxes[of_class], boxes[of_class])
        new[of_class] = decayed(overlaps, scores[of_class], iou=iou, least=least)
    new, order = new.sort(descending=True, stable=True)
    kept = new >= least
    return order[kept], new[kept]


def decayed(overlaps: Tensor, scores: Tensor, *, iou: float, least: float) -> Tensor:
    """Return the scores (N,) that soft-NMS leaves to objects of one class, in the order given.

    Args:
        overlaps: (N, N), the IoU of each with each, of boxes or of masks.
        scores: (N,), at least 0.
        iou: an overlap that still lowers nothing.
        least: what falls below this is not decayed further: it is dropped in any case.
    """
    factors: NDArray[np.float32] = (1 - overlaps).where(overlaps > iou, 1).cpu().numpy()
    new: NDArray[np.float32] = scores.cpu().numpy().copy()
    waiting = np.ones(len(new), dtype=bool)
    for _ in range(len(new)):
        best = int(np.where(waiting, new, -1).argmax())
        if new[best] < least:
            break
        waiting[best] = False
        new[waiting] *= factors[best][waiting]
    return torch.from_numpy(new).to(scores.device)
