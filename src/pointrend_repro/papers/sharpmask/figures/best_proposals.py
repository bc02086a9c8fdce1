"""Figures 4 and 8: SharpMask's proposals that are closest to the objects of some images."""

from collections.abc import Mapping

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import Picture
from pointrend_repro.papers.sharpmask.figures.closest import (
    choose_shown,
    closest,
    image_grid,
    show_closest,
)

MODELS = {"sharpmask": ["refinement"]}

_COLUMNS = 4


def draw(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
    *,
    number: int = 4,
    images: int = 8,
    after: int = 0,
) -> Picture:
    """Draw images with the closest proposal of each object.

    Args:
        number: of the paper's figure.
        images: how many.
        after: how many of the images that would come first are left to another figure.

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    shown, choice = choose_shown(dataset, images, after)
    figure, axes = image_grid(shown, columns=_COLUMNS)
    missed = objects = 0
    for ax, each in zip(axes.flat, shown, strict=False):
        image = read_record(each.record)
        found = closest(models["sharpmask"], image, each.record)
        show_closest(ax, image, found)
        objects += len(found)
        missed += sum(one.is_missed for one in found)
    return Picture(
        figure,
        title=f"Figure {number}: SharpMask's proposals closest to the ground truth",
        caption=(
            "For each annotated object, that of 1000 proposals whose mask overlaps it most. "
            "Objects without a proposal of IoU above 0.5 are red, with their own mask: "
            f"{missed} of {objects}. Images lie around an object chosen {choice}."
        ),
        alternative_text=(
            f"{len(shown)} photographs with the masks of {objects} objects tinted and outlined, "
            f"{missed} of them in red."
        ),
        image_ids=[each.record.id for each in shown],
    )
