"""Detections of several models on the same images: which are shown, and in which colours."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from torch import Tensor
from torchvision.ops import box_iou

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.palette import COLORS
from pointrend_repro.data.structures import Detections
from pointrend_repro.figures.drawing import View, show_mask, show_view
from pointrend_repro.modeling.detector import NO_MASKS

_MIN_SCORE = 0.5
_SHOWN = 3
_SAME_OBJECT_IOU = 0.5
_LABEL_PT = 5
_LABEL_BOX = {"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.5}


def by_one_rule(found: list[list[Detections]]) -> tuple[list[list[Detections]], str]:
    """Choose the detections to draw, by one rule for the whole figure.

    Args:
        found: by window and model, highest-scoring first.

    Returns:
        What to draw, and the rule in words: the confident ones, unless a model has none anywhere.
    """
    sure = [[d.select(d.scores >= _MIN_SCORE) for d in pair] for pair in found]
    if all(any(len(d.boxes) for d in of_model) for of_model in zip(*sure, strict=True)):
        return sure, f"all detections with a score of at least {_MIN_SCORE}."
    shown = [[d.select(slice(_SHOWN)) for d in pair] for pair in found]
    return shown, (
        f"the {_SHOWN} highest-scoring detections of each window, since one of the models finds "
        f"nothing with a score of {_MIN_SCORE}."
    )


def corresponding(boxes: Tensor, others: Tensor) -> list[int]:
    """Number boxes (R, 4) as those of `others` (S, 4) that they overlap most, each at most once.

    Boxes that correspond to none get the numbers from S on.
    """
    return _numbers(box_iou(boxes, others))


def corresponding_objects(found: Detections, others: Detections) -> list[int]:
    """Number detections as `corresponding` does boxes, by those of the same class alone."""
    of_one_class = found.labels[:, None] == others.labels
    return _numbers(box_iou(found.boxes, others.boxes) * of_one_class)


def _numbers(iou: Tensor) -> list[int]:
    """Number the rows of an IoU (R, S) as the columns that they overlap most."""
    rows, columns = iou.shape
    numbers, free = [], set(range(columns))
    for row in range(rows):
        best = max(free, key=lambda k: float(iou[row, k]), default=None)
        if best is not None and iou[row, best] >= _SAME_OBJECT_IOU:
            free.remove(best)
            numbers.append(best)
        else:
            numbers.append(columns + row)
    return numbers


def in_view(found: Detections, view: View) -> Detections:
    """Keep the detections that lie at least partly in the window."""
    height, width = view.pixels.shape[:2]
    x, y = view.corner
    x1, y1 = x + width / view.scale, y + height / view.scale
    b = found.boxes
    return found.select((b[:, 0] < x1) & (b[:, 2] > x) & (b[:, 1] < y1) & (b[:, 3] > y))


def show_detections(
    ax: Axes,
    view: View,
    found: Detections,
    numbers: list[int],
    names: Sequence[str] | None = None,
) -> None:
    """Draw a view with the masks found in it, each in the colour of its number.

    A view in which nothing is found says so.

    Args:
        names: of the classes, to write over each mask with its score; none: nothing is written.

    Raises:
        UserError: the model has no mask head.
    """
    if found.mask_logits is None:
        raise UserError(NO_MASKS)
    show_view(ax, view)
    for i in reversed(range(len(found.boxes))):  # the highest-scoring on top
        mask = view.mask(found.mask_logits[i], tuple(found.boxes[i].tolist()))
        show_mask(ax, mask, COLORS[numbers[i] % len(COLORS)])
    if names is not None:
        for i in reversed(range(len(found.boxes))):
            show_label(ax, view, found, i, names)
    if not len(found.boxes):
        told = ax.text(0.5, 0.5, "nothing found", transform=ax.transAxes, bbox=_LABEL_BOX)
        told.set(ha="center", va="center", fontsize=_LABEL_PT + 1)


def show_label(ax: Axes, view: View, found: Detections, index: int, names: Sequence[str]) -> None:
    """Write the class and the score of a detection at its upper left corner, inside the view."""
    x, y, *_ = view.box(tuple(found.boxes[index].tolist()))
    label = f"{names[int(found.labels[index])]} {float(found.scores[index]):.2f}"
    place = max(x, 0.0), max(y, 0.0)
    ax.text(*place, label, fontsize=_LABEL_PT, va="bottom", clip_on=True, bbox=_LABEL_BOX)
