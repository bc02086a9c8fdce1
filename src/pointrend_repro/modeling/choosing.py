"""Which of the boxes that were scored are proposals, and which are detections."""

import torch
from torch import Tensor

from pointrend_repro.modeling.boxes import ImageSize, clip_boxes, is_nonempty, suppress
from pointrend_repro.modeling.soft_nms import soft_suppress
from pointrend_repro.settings.at_test import Nms
from pointrend_repro.settings.instances import DetectorSettings

# A box that no box of an image overlaps, with a score and a level.
_NOWHERE = (-3.0, -3.0, -2.0, -2.0, -torch.inf, 0.0)
# The largest IoU below that of a box with itself.
_BELOW_ONE = 1 - 2**-24


def choose_proposals(
    boxes: Tensor,
    scores: Tensor,
    levels: Tensor,
    image_size: ImageSize,
    *,
    iou: float,
    most: int,
) -> tuple[Tensor, Tensor]:
    """Return the proposals (R, 4) of one image and their scores (R,), highest-scoring first.

    Args:
        boxes: (P, 4).
        scores: (P,).
        levels: (P,) int64; NMS runs within a level.
        iou: of two boxes of a level that overlap more, the lower score goes.
        most: how many are left of all.
    """
    boxes = clip_boxes(boxes, image_size)
    # A diverging training makes NaN boxes: they are not proposals, and its losses report it.
    sound = is_nonempty(boxes) & boxes.isfinite().all(1) & scores.isfinite()
    # To leave out the others by an index, the host would wait for a GPU. So all of them become one
    # box, with the lowest score; once more at the end, it is what NMS keeps last, once.
    rows = torch.cat([boxes, scores.unsqueeze(1), levels.unsqueeze(1)], dim=1)
    nowhere = rows.new_tensor([_NOWHERE])
    rows = torch.cat([torch.where(sound.unsqueeze(1), rows, nowhere), nowhere])
    boxes, scores, levels = rows[:, :4], rows[:, 4], rows[:, 5]
    best = suppress(boxes, scores, levels, min(iou, _BELOW_ONE))[:-1][:most]
    return boxes[best], scores[best]


def choose_boxes(
    boxes: Tensor,
    scores: Tensor,
    image_size: ImageSize,
    settings: DetectorSettings,
    nms: Nms = "hard",
) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes (R, 4), scores (R,) and classes (R,) of one image, highest-scoring first.

    Soft-NMS drops boxes whose score falls below the threshold that all have to exceed before it, as
    mmdetection's configs do (`min_score`).

    Args:
        boxes: (P, K, 4), one for each class of each proposal.
        scores: (P, K), their probabilities.
    """
    finite = boxes.isfinite().flatten(1).all(1) & scores.isfinite().all(1)
    likely = finite.unsqueeze(1) & (scores > settings.score_threshold)
    box_index, labels = torch.nonzero(likely, as_tuple=True)
    boxes = clip_boxes(boxes[box_index, labels], image_size)
    scores = scores[box_index, labels]
    if nms == "soft_linear":
        least = settings.score_threshold
        keep, lowered = soft_suppress(boxes, scores, labels, iou=settings.nms_iou, least=least)
        scores = scores.index_copy(0, keep, lowered)
    else:
        keep = suppress(boxes, scores, labels, settings.nms_iou)
    keep = keep[: settings.detections_per_image]
    return boxes[keep], scores[keep], labels[keep]
