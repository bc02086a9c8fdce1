"""Figures 2, 4 and 7: images with the masks, boxes, categories and scores that a model finds."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.structures import Detections
from pointrend_repro.figures.busy import BUSY_CHOICE, choose_busy
from pointrend_repro.figures.detections import by_one_rule, show_detections, show_label
from pointrend_repro.figures.drawing import (
    COLORS,
    WIDTH_IN,
    Picture,
    View,
    new_figure,
    view_window,
)
from pointrend_repro.figures.of_two import behind_first
from pointrend_repro.predictions.instances import detect
from pointrend_repro.settings.instances import InferenceSettings

MODELS = {"model": ["mask_head"]}

_SIDE_PX = 900
_LINE_PT = 0.7


def draw(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
    *,
    num_images: int = 6,
    columns: int = 3,
    after: int = 0,
) -> Picture:
    """Draw images with all that a model finds in them.

    Args:
        models: the one to show.
        dataset: whose validation images are shown.
        num_images: at most.
        columns: of panels.
        after: so many images of those with the most objects are left to another figure,
            unless there are no others.

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    saved = models["model"]
    records, but = behind_first(choose_busy(dataset, after + num_images), after)
    views, found = [], []
    for record in records:
        image = read_record(record)
        views.append(view_window(image, (0, 0, record.width, record.height), _SIDE_PX))
        found.append([detect(saved, image, InferenceSettings())])
    selected, rule = by_one_rule(found)
    rows = -(-len(views) // columns)
    tallest = max(view.pixels.shape[0] / view.pixels.shape[1] for view in views)
    figure = new_figure(rows * tallest * WIDTH_IN / columns)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes:
        ax.set_axis_off()
    for ax, view, (detections,) in zip(axes, views, selected, strict=False):
        _show(ax, view, detections, [name for _, name in saved.categories])
    return Picture(
        figure,
        title="Results of Mask R-CNN on validation images",
        caption=(
            "Masks in colour, with bounding box, category and confidence, as one model predicts "
            f"them; {rule} Shown are {BUSY_CHOICE}{but}."
        ),
        alternative_text=(
            f"{len(views)} pictures; each object found is tinted and outlined, in a rectangle with "
            "the name of its category and a confidence."
        ),
        image_ids=[record.id for record in records],
    )


def _show(ax: Axes, view: View, found: Detections, names: list[str]) -> None:
    numbers = list(range(len(found.boxes)))
    show_detections(ax, view, found, numbers)
    for i in reversed(numbers):
        x0, y0, x1, y1 = view.box(tuple(found.boxes[i].tolist()))
        color = COLORS[i % len(COLORS)]
        ax.add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=color, lw=_LINE_PT, ls="--")
        )
        show_label(ax, view, found, i, names)
