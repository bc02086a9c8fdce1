"""The same objects under the masks of the 4x conv head and of PointRend, to slide between them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.config.figure_plan import BASELINE, POINTREND
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import contrasting_color, show_mask, square_window, view_window
from pointrend_repro.figures.embedding import describe_mask, embed_view
from pointrend_repro.figures.objects import CHOICE, ShownObject, choose_objects
from pointrend_repro.figures.picture_record import ComparedObject
from pointrend_repro.figures.regions import mask_logits

NUM_OBJECTS = 4
RESOLUTIONS = {BASELINE: 28, POINTREND: 224}
LABELS = {BASELINE: "4× conv, 28×28", POINTREND: "PointRend, 224×224"}
_MARGIN = 0.1
_SIDE_PX = 600
_LINE_PT = 1.3


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> dict[str, Any]:
    """Draw both masks of each object.

    Returns:
        What a `ComparisonRecord` says beside its origin.

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    objects = choose_objects(dataset, NUM_OBJECTS)
    return {
        "title": "One object, two mask heads",
        "caption": (
            "Masks by Mask R-CNN's standard head and by PointRend, two models of their own, inside "
            "the same box, which is the ground truth's, and for its class. Masks are pasted at the "
            f"resolution of this picture. Objects chosen {CHOICE}."
        ),
        "image_ids": [shown.record.id for shown in objects],
        "baseline_label": LABELS[BASELINE],
        "pointrend_label": LABELS[POINTREND],
        "objects": [_compare(models, dataset, shown) for shown in objects],
    }


def _compare(
    models: Mapping[str, SavedModel], dataset: CocoDataset, shown: ShownObject
) -> ComparedObject:
    image = read_record(shown.record)
    view = view_window(image, square_window(shown.box, _MARGIN, image.shape[:2]), _SIDE_PX)
    name = dataset.categories[shown.annotation.label].name
    masks = {}
    for variant, resolution in RESOLUTIONS.items():
        (logits,) = mask_logits(models[variant], shown, [resolution])
        masks[variant] = view.mask(logits, shown.box)
    color = contrasting_color(view.pixels, masks[POINTREND])
    pictures = {
        variant: embed_view(
            view,
            describe_mask(name, f"the mask of {LABELS[variant]}", mask),
            partial(show_mask, mask=mask, color=color, line_pt=_LINE_PT),
        )
        for variant, mask in masks.items()
    }
    return ComparedObject(
        name=name,
        image_id=shown.record.id,
        baseline=pictures[BASELINE],
        pointrend=pictures[POINTREND],
    )
