"""The same objects with masks of the 4x conv head and of PointRend, with a slider between them."""

from collections.abc import Mapping

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.figures.comparison import Side, compare
from pointrend_repro.figures.drawing import PageContent
from pointrend_repro.figures.objects import CHOICE, choose_objects

MODELS = {"baseline": ["mask_head"], "pointrend": ["mask_head"]}

NUM_OBJECTS = 4


def draw(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
    *,
    labels: tuple[str, str] = ("4× conv, 28×28", "PointRend, 224×224"),
    resolutions: tuple[int, int] = (28, 224),
) -> PageContent:
    """Draw both masks of each object, with the given labels and resolutions M of the masks (M, M).

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    baseline, pointrend = (
        Side(models[part], label, resolution)
        for part, label, resolution in zip(MODELS, labels, resolutions, strict=True)
    )
    objects = choose_objects(dataset, NUM_OBJECTS)
    return PageContent(
        title="One object, two mask heads",
        caption=(
            "Masks by Mask R-CNN's standard head and by PointRend, two models that were trained "
            "separately, each given the annotated box and class of the object. Masks are rendered "
            f"at the resolution of this picture. Objects are chosen {CHOICE}."
        ),
        image_ids=[shown.record.id for shown in objects],
        content={
            "baseline_label": baseline.label,
            "other_label": pointrend.label,
            "objects": [compare(baseline, pointrend, dataset, shown) for shown in objects],
        },
    )
