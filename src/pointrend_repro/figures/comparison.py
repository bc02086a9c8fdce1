"""The same objects under the masks of two models, to slide between them."""

from dataclasses import dataclass
from functools import partial

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import contrasting_color, show_mask, square_window, view_window
from pointrend_repro.figures.embedding import describe_mask, embed_view
from pointrend_repro.figures.objects import ShownObject
from pointrend_repro.figures.record import ComparedObject
from pointrend_repro.figures.regions import mask_logits

_MARGIN = 0.1
_SIDE_PX = 600
_LINE_PT = 1.3


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        resolution: M of its masks (M, M).
    """

    model: SavedModel
    label: str
    resolution: int


def compare(
    baseline: Side, other: Side, dataset: CocoDataset, shown: ShownObject
) -> ComparedObject:
    """Draw an object's masks by both models over the same window of its image.

    Raises:
        UserError: the image cannot be read.
    """
    image = read_record(shown.record)
    view = view_window(image, square_window(shown.box, _MARGIN, image.shape[:2]), _SIDE_PX)
    name = dataset.categories[shown.annotation.label].name
    masks = []
    for side in (baseline, other):
        (logits,) = mask_logits(side.model, shown, [side.resolution])
        masks.append(view.mask(logits, shown.box))
    color = contrasting_color(view.pixels, masks[1])
    pictures = [
        embed_view(
            view,
            describe_mask(name, f"the mask of {side.label}", mask),
            partial(show_mask, mask=mask, color=color, line_pt=_LINE_PT),
        )
        for side, mask in zip((baseline, other), masks, strict=True)
    ]
    return ComparedObject(
        name=name, image_id=shown.record.id, baseline=pictures[0], other=pictures[1]
    )
