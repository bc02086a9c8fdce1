"""Figure 2: what HTC, SOLOv2 and PointRend find in the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pointrend_repro.base.palette import COLORS
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.declarations.family import family_of
from pointrend_repro.figures.busy import BUSY_CHOICE, choose_busy
from pointrend_repro.figures.detections import corresponding
from pointrend_repro.figures.drawing import (
    WIDTH_IN,
    Picture,
    new_figure,
    show_mask,
    show_view,
    view_window,
)

MODELS = {"htc": ["mask_head"], "solov2": ["backbone"], "pointrend": ["mask_head.kind=pointrend"]}

_NAMES = {"htc": "HTC", "solov2": "SOLOv2", "pointrend": "PointRend"}
_CAPTION = (
    "Masks of HTC, SOLOv2 and PointRend (from left to right), {rule} Objects that overlap one of "
    f"PointRend's have its colour. Shown are {BUSY_CHOICE}."
)
_SIDE_PX = 480  # at least, of the longer side
_MIN_SCORE = 0.5
_SHOWN = 5


@dataclass(frozen=True)
class _Found:
    """Objects of one model in one image, highest-scoring first.

    Attributes:
        boxes: (R, 4), xyxy in pixels of the image.
        scores: (R,).
        masks: (R, H, W) bool.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: NDArray[np.bool_]


def draw(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
    *,
    num_images: int = 2,
    output_resolution: int = 416,
    points_per_step: int = 4900,
) -> Picture:
    """Draw images in rows, and in each what the three models find.

    Args:
        models: "htc", "solov2" and "pointrend".
        dataset: whose validation images are shown.
        num_images: at most.
        output_resolution: of PointRend's masks.
        points_per_step: of PointRend.

    Raises:
        UserError: there is no image, or one cannot be read.
    """
    given = {
        "pointrend": {"output_resolution": output_resolution, "points_per_step": points_per_step}
    }
    records = choose_busy(dataset, num_images)
    images = [read_record(record) for record in records]
    found = {
        part: [_predict(models[part], image, given.get(part, {})) for image in images]
        for part in _NAMES
    }
    shown, rule = _by_one_rule(found)
    tall = max(image.shape[0] / image.shape[1] for image in images)
    figure = new_figure(0.2 + len(images) * tall * WIDTH_IN / len(_NAMES))
    axes = figure.subplots(len(images), len(_NAMES), squeeze=False)
    for row, image in enumerate(images):
        like = torch.from_numpy(shown["pointrend"][row].boxes)
        for ax, (part, name) in zip(axes[row], _NAMES.items(), strict=True):
            each = shown[part][row]
            _show(ax, image, each, corresponding(torch.from_numpy(each.boxes), like))
            if row == 0:
                ax.set_title(name)
    return Picture(
        figure,
        title="Figure 2: HTC, SOLOv2 and PointRend on the same images",
        caption=_CAPTION.format(rule=rule),
        alternative_text=(
            f"{len(images)} rows of the same picture three times, with objects tinted and outlined "
            "by HTC, SOLOv2 and PointRend."
        ),
        image_ids=[record.id for record in records],
    )


def _predict(saved: SavedModel, image: NDArray[np.uint8], given: dict[str, Any]) -> _Found:
    family = family_of(saved.model.settings)
    settings = family.inference.model_validate(given)
    assert family.predict_image is not None
    objects = family.function(family.predict_image)(saved, image, settings)
    return _Found(objects.boxes, objects.scores, objects.masks)


def _by_one_rule(
    found: Mapping[str, Sequence[_Found]],
) -> tuple[dict[str, list[_Found]], str]:
    """Choose what to draw of all models, and say how: the sure objects, if each model has some."""
    if all(
        any((each.scores >= _MIN_SCORE).any() for each in of_model) for of_model in found.values()
    ):
        chosen = {
            part: [_first(each, int((each.scores >= _MIN_SCORE).sum())) for each in of_model]
            for part, of_model in found.items()
        }
        return chosen, f"all with a score of at least {_MIN_SCORE}."
    chosen = {part: [_first(each, _SHOWN) for each in of_model] for part, of_model in found.items()}
    return chosen, (
        f"the {_SHOWN} highest-scoring of each image, since one of the models finds nothing with a "
        f"score of {_MIN_SCORE}."
    )


def _first(found: _Found, count: int) -> _Found:
    return _Found(found.boxes[:count], found.scores[:count], found.masks[:count])


def _show(ax: Axes, image: NDArray[np.uint8], found: _Found, numbers: list[int]) -> None:
    longer = max(image.shape[:2])
    times = -(-_SIDE_PX // longer)  # whole, so that masks show the pixels that are scored
    show_view(ax, view_window(image, (0, 0, image.shape[1], image.shape[0]), times * longer))
    for i in reversed(range(len(found.masks))):  # the highest-scoring on top
        mask = found.masks[i].repeat(times, axis=0).repeat(times, axis=1)
        show_mask(ax, mask, COLORS[numbers[i] % len(COLORS)])
