"""Boxes: encoding against a reference, matching to ground truth, and sampling of matches.

All boxes are (N, 4) xyxy in pixels of the network's input. The conventions are detectron2's (commit
02b5c4e2: modeling/box_regression.py, matcher.py, sampling.py), which differ from torchvision's
defaults in places; hence this module.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, box_iou, nms

from pointrend_repro.settings.instances import DetectorSettings

# The most a box may grow in one step, so that exp() cannot overflow.
_MAX_LOG_SCALE = math.log(1000.0 / 16)

# For exported graphs: LVIS has 1230 classes, and no input is larger than this.
_GROUPS_IN_A_ROW = 36
_GROUP_EXTENT_PX = 4096

BoxWeights = tuple[float, float, float, float]

# Height and width in pixels; tensors in a graph that works for images of any size.
ImageSize = tuple[int, int] | tuple[Tensor, Tensor]


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


def box_loss(predicted: Tensor, target: Tensor, settings: DetectorSettings, beta: float) -> Tensor:
    """Return the sum of `settings.box_loss` over deltas (N, 4), as `encode_boxes` makes them.

    Args:
        beta: the difference below which smooth L1 is quadratic.
    """
    if settings.box_loss == "l1":
        return F.l1_loss(predicted, target, reduction="sum")
    return F.smooth_l1_loss(predicted, target, reduction="sum", beta=beta)


def clip_boxes(boxes: Tensor, image_size: ImageSize) -> Tensor:
    """Clip boxes (..., 4) to an image of (height, width)."""
    x0, y0, x1, y1 = boxes.clamp(min=0).unbind(-1)
    height, width = image_size
    return torch.stack(
        [x0.clamp(max=width), y0.clamp(max=height), x1.clamp(max=width), y1.clamp(max=height)], -1
    )


def is_being_exported() -> bool:
    """Return whether a graph is being exported, which must work for inputs of any size."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Non-maximum suppression within groups: drop boxes that a better one overlaps by over `iou`.

    Args:
        boxes: (N, 4).
        scores: (N,).
        groups: (N,) int64, levels or classes.

    Returns:
        Indices of the boxes that are kept, highest-scoring first.
    """
    if not is_being_exported():
        return batched_nms(boxes, scores, groups, iou)
    return _suppress_in_graph(boxes, scores, groups, iou)


def _suppress_in_graph(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Suppress without batched_nms, which branches on the number of boxes.

    Groups are laid out in a square grid, apart from each other: in one row their coordinates would
    lose too many digits. torchvision's declaration for torch.export says that at least two boxes
    are kept, so two boxes are added that overlap nothing and come last.
    """
    places = torch.stack([groups % _GROUPS_IN_A_ROW, groups // _GROUPS_IN_A_ROW], dim=1)
    apart = boxes + (places * _GROUP_EXTENT_PX).to(boxes.dtype).repeat(1, 2)
    more = boxes.new_tensor([[-9.0, -9, -8, -8], [-6, -6, -5, -5]])
    never = scores.new_full((2,), -torch.inf)
    return nms(torch.cat([apart, more]), torch.cat([scores, never]), iou)[:-2]


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
    negative_from: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Match each box to the ground truth that it overlaps most.

    Args:
        boxes: (N, 4).
        gt_boxes: (G, 4), possibly none.
        negative_below: IoU below which a box is background.
        positive_from: IoU from which it is foreground; in between it is ignored.
        keep_best_of_each_gt: also mark as foreground the boxes that overlap some ground truth
            more than any other box does, however little (region proposals only).
        negative_from: IoU below which a box is ignored.

    Returns:
        Indices (N,) into `gt_boxes` (0 where there is none), and states (N,): 1 foreground,
        0 background, -1 ignored.
    """
    if len(gt_boxes) == 0:
        zeros = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return zeros, torch.full_like(zeros, -1 if negative_from > 0 else 0)
    iou = box_iou(gt_boxes, boxes)
    best_iou, index = iou.max(dim=0)
    state = torch.full_like(index, -1)
    state[(best_iou >= negative_from) & (best_iou < negative_below)] = 0
    state[best_iou >= positive_from] = 1
    if keep_best_of_each_gt and len(boxes):
        best_of_gt = iou.max(dim=1, keepdim=True).values
        state[((iou == best_of_gt) & (iou > 0)).any(dim=0)] = 1
    return index, state


def sample_matches(state: Tensor, count: int, positive_fraction: float) -> tuple[Tensor, Tensor]:
    """Draw foreground and background boxes at random.

    Args:
        state: (N,): 1 foreground, 0 background; others are not drawn.
        count: how many in all; fewer if there are not enough.
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
