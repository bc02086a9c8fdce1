"""Figure 7: one object with masks of 28x28 up to 224x224."""

from collections.abc import Mapping

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import (
    WIDTH_IN,
    Picture,
    contrasting_color,
    new_figure,
    show_mask,
    show_view,
    square_window,
    view_window,
)
from pointrend_repro.figures.objects import CHOICE, choose_objects
from pointrend_repro.figures.regions import mask_logits

MODELS = {"pointrend": ["mask_head.kind=pointrend"]}

RESOLUTIONS = [28, 56, 112, 224]
_MARGIN = 0.08
_SIDE_PX = 600
_DETAIL = 0.3  # side of the enlarged window, as a share of the view's


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> Picture:
    """Draw one column per resolution: the object above, a detail of its outline below.

    Raises:
        UserError: there is nothing to show, or the image cannot be read.
    """
    (shown,) = choose_objects(dataset, 1)
    image = read_record(shown.record)
    view = view_window(image, square_window(shown.box, _MARGIN, image.shape[:2]), _SIDE_PX)
    rendered = mask_logits(models["pointrend"], shown, RESOLUTIONS)
    masks = [view.mask(logits, shown.box) for logits in rendered]
    color = contrasting_color(view.pixels, masks[-1])
    side = round(_DETAIL * _SIDE_PX)
    x, y = densest_window(masks[0] ^ masks[-1], side)

    figure = new_figure(0.15 + WIDTH_IN / len(RESOLUTIONS) * 2)
    axes = figure.subplots(2, len(RESOLUTIONS))
    for column, resolution in enumerate(RESOLUTIONS):
        whole, detail = axes[:, column]
        for ax, line_pt in ((whole, 0.8), (detail, 1.2)):
            show_view(ax, view)
            show_mask(ax, masks[column], color, line_pt)
        whole.set_title(f"{resolution}×{resolution}")
        whole.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor="white", linewidth=1.6))
        whole.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor="black", linewidth=0.6))
        detail.set(xlim=(x, x + side), ylim=(y + side, y))
    name = dataset.categories[shown.annotation.label].name
    return Picture(
        figure,
        title="Figure 7: Anti-aliasing with PointRend",
        caption=(
            f"PointRend's mask of one object ({name}) at four output resolutions, by one model "
            "inside the ground truth's box and for its class. Below, the square enlarged: where "
            "the masks of 28×28 and 224×224 differ most. Masks are pasted at the resolution of "
            f"print. Object chosen {CHOICE}."
        ),
        alternative_text=(
            f"Four pictures of the same object ({name}) with a tinted mask and its outline, at 28, "
            "56, 112 and 224 cells per side, and an enlarged detail of the outline below each."
        ),
        image_ids=[shown.record.id],
    )


def densest_window(differs: NDArray[np.bool_], side: int) -> tuple[int, int]:
    """Return the corner (x, y) of the square of this side that covers most of a mask (H, W).

    For an empty mask it is the square in the middle.
    """
    if not differs.any():
        return (differs.shape[1] - side) // 2, (differs.shape[0] - side) // 2
    total = np.pad(differs, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side]
    inside = inside + total[:-side, :-side]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(x), int(y)
