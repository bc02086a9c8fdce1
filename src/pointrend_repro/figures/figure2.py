"""Figure 2: what Mask R-CNN finds with its standard mask head, beside PointRend."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from torch import Tensor
from torchvision.ops import box_iou

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.config.figure_plan import BASELINE, POINTREND
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.structures import Detections
from pointrend_repro.figures.drawing import (
    COLORS,
    WIDTH_IN,
    Picture,
    View,
    new_figure,
    show_mask,
    show_view,
    square_window,
    view_window,
)
from pointrend_repro.figures.objects import CHOICE, choose_objects
from pointrend_repro.predictions.instances import detect
from pointrend_repro.settings.instances import InferenceSettings

_NUM_PAIRS = 4
_PAIRS_A_ROW = 2
_MARGIN = 0.3
_SIDE_PX = 560
_MIN_SCORE = 0.5
_SHOWN = 3
_SAME_OBJECT_IOU = 0.5
_HEADS = {BASELINE: "4× conv, 28×28", POINTREND: "PointRend, 224×224"}


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> Picture:
    """Draw pairs of the same window of an image, the 4x conv head left and PointRend right.

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    views, found = [], []
    for shown in choose_objects(dataset, _NUM_PAIRS):
        image = read_record(shown.record)
        view = view_window(image, square_window(shown.box, _MARGIN, image.shape[:2]), _SIDE_PX)
        views.append((shown.record.id, view))
        of_models = [detect(models[variant], image, InferenceSettings()) for variant in _HEADS]
        found.append([_in_view(detections, view) for detections in of_models])
    selected, rule = by_one_rule(found)

    rows = -(-len(views) // _PAIRS_A_ROW)
    columns = min(len(views), _PAIRS_A_ROW) * len(_HEADS)
    figure = new_figure(0.2 + rows * WIDTH_IN / columns)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(views) * len(_HEADS) :]:
        ax.set_axis_off()
    for ax, title in zip(axes[0], list(_HEADS.values()) * _PAIRS_A_ROW, strict=False):
        ax.set_title(title)
    pairs = axes.reshape(-1, len(_HEADS))
    for pair, (_, view), (left, right) in zip(pairs, views, selected, strict=False):
        own = list(range(len(left.boxes)))
        show_detections(pair[0], view, left, own)
        show_detections(pair[1], view, right, corresponding(right.boxes, left.boxes))
    return Picture(
        figure,
        title="Figure 2: Result pairs, standard mask head and PointRend",
        caption=(
            "The same windows of validation images, segmented by Mask R-CNN with its standard mask "
            f"head (left of each pair) and with PointRend (right), two models of their own; {rule} "
            "An object that both find has one colour. Masks are pasted at the resolution of "
            f"print. Each window lies around an object chosen {CHOICE}."
        ),
        alternative_text=(
            f"{len(views)} pairs of pictures of the same scenes with the found objects tinted and "
            "outlined: left with masks of 28 by 28, right with masks of 224 by 224."
        ),
        image_ids=[image_id for image_id, _ in views],
    )


def by_one_rule(found: list[list[Detections]]) -> tuple[list[list[Detections]], str]:
    """Choose the detections to draw, by one rule for the whole figure.

    Args:
        found: by window and model, highest-scoring first.

    Returns:
        What to draw, and the rule in words: the sure ones, unless a model has none anywhere.
    """
    sure = [[_at(d, d.scores >= _MIN_SCORE) for d in pair] for pair in found]
    if all(any(len(d.boxes) for d in of_model) for of_model in zip(*sure, strict=True)):
        return sure, f"all detections with a score of at least {_MIN_SCORE}."
    shown = [[_at(d, slice(_SHOWN)) for d in pair] for pair in found]
    return shown, (
        f"the {_SHOWN} highest-scoring detections of each window, since one of the models finds "
        f"nothing with a score of {_MIN_SCORE}."
    )


def corresponding(boxes: Tensor, others: Tensor) -> list[int]:
    """Number boxes (R, 4) as those of `others` (S, 4) that they overlap most, each once.

    Those that correspond to none get the numbers from S on.
    """
    iou = box_iou(boxes, others)
    numbers, free = [], set(range(len(others)))
    for row in range(len(boxes)):
        best = max(free, key=lambda k: float(iou[row, k]), default=None)
        if best is not None and iou[row, best] >= _SAME_OBJECT_IOU:
            free.remove(best)
            numbers.append(best)
        else:
            numbers.append(len(others) + row)
    return numbers


def _in_view(found: Detections, view: View) -> Detections:
    """Keep the detections of which some part lies in the window."""
    height, width = view.pixels.shape[:2]
    x, y = view.corner
    x1, y1 = x + width / view.scale, y + height / view.scale
    b = found.boxes
    return _at(found, (b[:, 0] < x1) & (b[:, 2] > x) & (b[:, 1] < y1) & (b[:, 3] > y))


def _at(d: Detections, keep: Tensor | slice) -> Detections:
    return Detections(d.boxes[keep], d.scores[keep], d.labels[keep], d.mask_logits[keep])


def show_detections(ax: Axes, view: View, found: Detections, numbers: list[int]) -> None:
    """Draw a view with the masks found in it, each in the colour of its number."""
    show_view(ax, view)
    for i in reversed(range(len(found.boxes))):  # the highest-scoring on top
        mask = view.mask(found.mask_logits[i], tuple(found.boxes[i].tolist()))
        show_mask(ax, mask, COLORS[numbers[i] % len(COLORS)])
