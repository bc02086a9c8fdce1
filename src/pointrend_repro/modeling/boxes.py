"""Boxes: encoding against a reference, matching to ground truth, and sampling of the matches.

All boxes are (N, 4) xyxy in pixels of the network's input. Conventions are detectron2's (commit
02b5c4e2: modeling/box_regression.py, matcher.py, sampling.py); they differ from torchvision's
defaults in places, so they stand here.
"""

import math

import torch
from torch import Tensor
from torchvision.ops import box_iou

# A box may grow at most by this much in one step, so that exp() cannot overflow.
_MAX_LOG_SCALE = math.log(1000.0 / 16)

BoxWeights = tuple[float, float, float, float]


def encode_boxes(boxes: Tensor, references: Tensor, weights: BoxWeights) -> Tensor:
    """Return the deltas (N, 4) that move `references` onto `boxes`: dx, dy, dlog(w), dlog(h)."""
    centre, size = _centre_and_size(boxes)
    ref_centre, ref_size = _centre_and_size(references)
    shift = (centre - ref_centre) / ref_size
    scale = torch.log(size / ref_size)
    return torch.cat([shift, scale], dim=-1) * boxes.new_tensor(weights)


def decode_boxes(deltas: Tensor, references: Tensor, weights: BoxWeights) -> Tensor:
    """Apply deltas (..., 4) to `references` (..., 4), broadcasting over leading dimensions."""
    centre, size = _centre_and_size(references)
    deltas = deltas / deltas.new_tensor(weights)
    new_centre = centre + deltas[..., :2] * size
    new_size = size * torch.exp(deltas[..., 2:].clamp(max=_MAX_LOG_SCALE))
    return torch.cat([new_centre - new_size / 2, new_centre + new_size / 2], dim=-1)


def clip_boxes(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Clip boxes (..., 4) to an image of (height, width)."""
    height, width = image_size
    limit = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)


def is_nonempty(boxes: Tensor) -> Tensor:
    """Return for each box whether it has any area, (N,) bool."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def match_boxes(
    boxes: Tensor,
    gt_boxes: Tensor,
    *,
    negative_below: float,
    positive_from: float,
    keep_best_of_each_gt: bool,
) -> tuple[Tensor, Tensor]:
    """Match each box to the ground truth that it overlaps most.

    Args:
        boxes: (N, 4).
        gt_boxes: (G, 4), possibly none.
        negative_below: IoU below which a box is background.
        positive_from: IoU from which it is foreground; in between it is ignored.
        keep_best_of_each_gt: also call foreground the boxes that overlap some ground truth more
            than any other box does, however little (region proposals only).

    Returns:
        Indices (N,) into `gt_boxes` (0 where there is none), and states (N,): 1 foreground,
        0 background, -1 ignored.
    """
    if len(gt_boxes) == 0:
        zeros = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return zeros, zeros.clone()
    iou = box_iou(gt_boxes, boxes)
    best_iou, index = iou.max(dim=0)
    state = torch.full_like(index, -1)
    state[best_iou < negative_below] = 0
    state[best_iou >= positive_from] = 1
    if keep_best_of_each_gt and len(boxes):
        best_of_gt = iou.max(dim=1, keepdim=True).values
        state[((iou == best_of_gt) & (iou > 0)).any(dim=0)] = 1
    return index, state


def sample_matches(state: Tensor, count: int, positive_fraction: float) -> tuple[Tensor, Tensor]:
    """Draw foreground and background boxes at random.

    Args:
        state: (N,): 1 foreground, 0 background, anything else is not drawn.
        count: how many in all; fewer if there are not so many.
        positive_fraction: the largest share of foreground.

    Returns:
        Indices of the foreground and of the background that were drawn.
    """
    positive, negative = (torch.nonzero(state == value).squeeze(1) for value in (1, 0))
    num_positive = min(len(positive), int(count * positive_fraction))
    num_negative = min(len(negative), count - num_positive)
    return _draw(positive, num_positive), _draw(negative, num_negative)


def _draw(items: Tensor, count: int) -> Tensor:
    return items[torch.randperm(len(items), device=items.device)[:count]]


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + size / 2, size
