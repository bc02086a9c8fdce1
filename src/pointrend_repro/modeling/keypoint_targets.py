"""What keypoint heads learn: in which boxes, and in which cell of a heat map each keypoint lies.

Source: Mask R-CNN (1703.06870), section 5; detectron2 commit 02b5c4e2, structures/keypoints.py and
modeling/roi_heads/roi_heads.py.
"""

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.structures import Proposals, Target

_NO_CELL = -1


def annotated_keypoints(
    proposals: list[Proposals], targets: list[Target], num_keypoints: int
) -> list[Tensor]:
    """Return the keypoints (R_n, K, 3) of the object that each box of each image is matched to.

    Raises:
        UserError: the data set has no keypoints, or another number of them.
    """
    found = []
    for proposal, target in zip(proposals, targets, strict=True):
        if target.keypoints is None:
            raise UserError("keypoint_head: the data set that is trained on has no keypoints")
        if target.keypoints.shape[1] != num_keypoints:
            raise UserError(
                f"keypoint_head.num_keypoints: is {num_keypoints}, but the objects of the data set "
                f"have {target.keypoints.shape[1]} keypoints"
            )
        found.append(target.keypoints[proposal.matched])
    return found


def with_keypoint_inside(proposals: Proposals, keypoints: Tensor) -> Tensor:
    """Return (R,) bool: whether a box holds a labelled keypoint of its object, edges included."""
    x, y, visibility = keypoints.unbind(2)
    x0, y0, x1, y1 = proposals.boxes.unsqueeze(2).unbind(1)
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    return (inside & (visibility > 0)).any(dim=1)


def keypoint_cells(boxes: Tensor, keypoints: Tensor, side: int) -> Tensor:
    """Return the cell of each keypoint in a heat map over its box, (R, K) int64.

    Cells are numbered row by row, from 0 to S^2 - 1. A keypoint that is not labelled
    (visibility 0) or lies outside the box has none: -1. Labelled keypoints that something hides
    (visibility 1) count. What lies on the right or the lower edge belongs to the last cell.

    Args:
        boxes: (R, 4), xyxy in image pixels.
        keypoints: (R, K, 3), x and y in the same pixels, and COCO's visibility.
        side: S, cells of the heat map along one edge.
    """
    corner, size = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    points = keypoints[..., :2]
    inside = ((points >= corner) & (points <= boxes[:, None, 2:])).all(dim=2)
    cells = ((points - corner) * (side / size)).floor().clamp(0, side - 1).to(torch.int64)
    numbers = cells[..., 1] * side + cells[..., 0]
    return torch.where(inside & (keypoints[..., 2] > 0), numbers, _NO_CELL)
