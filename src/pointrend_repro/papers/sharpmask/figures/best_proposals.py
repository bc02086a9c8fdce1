"""Figures 4 and 8: SharpMask's proposals that are closest to the objects of some images."""

from collections.abc import Mapping

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import WIDTH_IN, Picture, new_figure
from pointrend_repro.figures.objects import CHOICE, choose_objects
from pointrend_repro.papers.sharpmask.figures.closest import closest, show_closest

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
    chosen = choose_objects(dataset, after + images)
    shown = chosen[after:] or chosen[-images:]
    rows = -(-len(shown) // _COLUMNS)
    tall = max(each.record.height / each.record.width for each in shown)
    figure = new_figure(0.2 + rows * WIDTH_IN / _COLUMNS * tall)
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    missed = objects = 0
    for ax in axes:
        ax.set_axis_off()
    for ax, each in zip(axes, shown, strict=False):
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
            f"{missed} of {objects}. Images lie around an object chosen {CHOICE}."
        ),
        alternative_text=(
            f"{len(shown)} photographs with the masks of {objects} objects tinted and outlined, "
            f"{missed} of them in red."
        ),
        image_ids=[each.record.id for each in shown],
    )
