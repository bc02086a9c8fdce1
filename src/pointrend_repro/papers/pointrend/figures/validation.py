"""Validation images with what is annotated and what a model finds, the worst of them first."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.palette import COLORS
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.figures.drawing import PageContent, View, show_mask, view_window
from pointrend_repro.figures.embedding import embed_view
from pointrend_repro.figures.judged_images import (
    MIN_IOU,
    MIN_SCORE,
    JudgedImage,
    Objects,
    chosen_images,
    judge_image,
)
from pointrend_repro.figures.record import EmbeddedImage, ShownImage

MODELS = {"pointrend": ["mask_head"]}

_SIDE_PX = 420
_LABEL_PT = 10


def draw(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
    *,
    num_images: int = 24,
    looked_at: int = 100,
    label: str = "PointRend",
) -> PageContent:
    """Draw the images that a model segments worst.

    Args:
        models: the one to show.
        dataset: whose validation images are shown.
        num_images: at most.
        looked_at: so many images, at most, are predicted to choose from; it takes a CPU seconds
            for each.
        label: what the model is called.

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    records = chosen_images(dataset, looked_at)
    if not records:
        raise UserError("there is no validation image to draw pictures of")
    saved = models["pointrend"]

    def quality(record: ImageRecord) -> tuple[float, str]:
        return judge_image(saved, record).quality.value, record.path.name

    # Masks of all images at once would take gigabytes, so those that are shown are predicted twice.
    shown = [judge_image(saved, record) for record in sorted(records, key=quality)[:num_images]]
    names = [category.name for category in dataset.categories]
    return PageContent(
        title="Validation images, the worst first",
        caption=(
            f"Left what is annotated, right what {label} finds with a score of at least "
            f"{MIN_SCORE}, in one training. Chosen from {len(records)} of "
            f"{len(dataset.images)} validation images, evenly spaced by name. Quality is the "
            "panoptic quality over the objects of all classes: the sum of the IoU of the objects "
            "found, divided by found + missed / 2 + extra / 2. An object is found if a mask of its "
            f"class has an IoU above {MIN_IOU} with it."
        ),
        image_ids=[image.record.id for image in shown],
        content={"label": label, "images": [_shown(image, names) for image in shown]},
    )


def _shown(image: JudgedImage, names: list[str]) -> ShownImage:
    height, width = image.pixels.shape[:2]
    view = view_window(image.pixels, (0, 0, width, height), _SIDE_PX)
    return ShownImage(
        name=image.record.path.name,
        image_id=image.record.id,
        quality=image.quality.value,
        found=image.quality.found,
        missed=image.quality.missed,
        extra=image.quality.extra,
        truth=_embed(view, image.truth, names, "annotated"),
        predicted=_embed(view, image.predicted, names, "found"),
    )


def _embed(view: View, objects: Objects, names: list[str], how: str) -> EmbeddedImage:
    told = ", ".join(names[label] for label in objects.labels) or "nothing"
    return embed_view(
        view, f"{told} {how}", partial(_show, view=view, objects=objects, names=names, how=how)
    )


def _show(ax: Axes, view: View, objects: Objects, names: list[str], how: str) -> None:
    height, width = view.pixels.shape[:2]
    box = {"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.5}
    if not len(objects.labels):
        told = ax.text(width / 2, height / 2, f"nothing {how}", bbox=box, ha="center")
        told.set_fontsize(_LABEL_PT)
    for mask, label in zip(objects.masks, objects.labels, strict=True):
        color = COLORS[label % len(COLORS)]
        rows = ((np.arange(height) + 0.5) / view.scale).astype(int).clip(max=mask.shape[0] - 1)
        columns = ((np.arange(width) + 0.5) / view.scale).astype(int).clip(max=mask.shape[1] - 1)
        small = mask[rows][:, columns]
        if not small.any():
            continue
        show_mask(ax, small, color)
        y, x = (float(each.mean()) for each in small.nonzero())
        ax.text(x, y, names[label], fontsize=_LABEL_PT, ha="center", clip_on=True, bbox=box)
