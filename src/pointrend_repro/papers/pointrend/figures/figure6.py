"""Figure 6: the same objects with masks of 28x28 and of 224x224."""

from collections.abc import Mapping

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

_NUM_OBJECTS = 4
_MARGIN = 0.12
_SIDE_PX = 560


def draw(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
    *,
    resolutions: tuple[int, int] = (28, 224),
) -> Picture:
    """Draw one column per object and one row per resolution M of its masks (M, M).

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    low, high = resolutions
    objects = choose_objects(dataset, _NUM_OBJECTS)
    figure = new_figure(0.98 * WIDTH_IN / len(objects) * 2)
    axes = figure.subplots(2, len(objects), squeeze=False)
    for column, shown in enumerate(objects):
        image = read_record(shown.record)
        view = view_window(image, square_window(shown.box, _MARGIN, image.shape[:2]), _SIDE_PX)
        rendered = mask_logits(models["pointrend"], shown, [low, high])
        masks = [view.mask(logits, shown.box) for logits in rendered]
        color = contrasting_color(view.pixels, masks[-1])
        for ax, mask in zip(axes[:, column], masks, strict=True):
            show_view(ax, view)
            show_mask(ax, mask, color)
    for row, side in enumerate(resolutions):
        axes[row, 0].set_ylabel(f"{side}×{side}")
    names = [dataset.categories[shown.annotation.label].name for shown in objects]
    return Picture(
        figure,
        title="Figure 6: PointRend inference with different output resolutions",
        caption=(
            f"PointRend's masks at {low}×{low} (top) and at {high}×{high} (bottom), rendered by "
            "one model inside the ground truth's boxes and for its classes. Masks are pasted at "
            f"the resolution of print. Objects chosen {CHOICE}."
        ),
        alternative_text=(
            f"Two rows of {len(objects)} pictures ({', '.join(names)}), each with a tinted mask "
            f"and its outline: masks of {low} by {low} above, of {high} by {high} below."
        ),
        image_ids=[shown.record.id for shown in objects],
    )
