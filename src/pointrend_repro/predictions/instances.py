"""Runs a trained detector on one image, or on a data set into COCO's results format."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.examples import move_boxes, read_record
from pointrend_repro.data.semantic import LabelledImages
from pointrend_repro.data.structures import Detections
from pointrend_repro.modeling.boxes import clip_boxes, is_nonempty
from pointrend_repro.modeling.paste import mask_window
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.predictions.coco_results import Found, coco_results
from pointrend_repro.predictions.ensembles import Ensemble, write_pooled
from pointrend_repro.predictions.image_steps import Steps
from pointrend_repro.predictions.in_parts import ALONE, LIST, Work, write_in_parts
from pointrend_repro.predictions.proposals import Boxes, Proposals
from pointrend_repro.predictions.views import find_in_views, see
from pointrend_repro.settings.at_test import DetectionAtTest, on_top
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.schedule import InputSettings


@dataclass(frozen=True)
class Instances:
    """Objects found in one image, in pixels of that image. R objects, highest-scoring first.

    Attributes:
        boxes: (R, 4) float32, xyxy.
        scores: (R,) float32.
        labels: (R,) int64, 0-based classes.
        masks: (R, H, W) bool; None: the model has no mask head.
        keypoints: (R, K, 3) float32, x, y and a score; None: the model finds none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_] | None
    keypoints: NDArray[np.float32] | None = None


def predict_image(
    saved: SavedModel, image: NDArray[np.uint8], settings: InferenceSettings
) -> Instances:
    """Find the objects in one RGB image, (H, W, 3) uint8."""
    height, width = image.shape[:2]
    found = detect(saved, image, settings)
    masks = None
    if found.mask_logits is not None:
        masks = np.zeros((len(found.boxes), height, width), dtype=bool)
        for image_mask, logits, box in zip(masks, found.mask_logits, found.boxes, strict=True):
            mask_window(logits, box, height, width).draw(image_mask)
    return Instances(
        boxes=found.boxes.cpu().numpy(),
        scores=found.scores.cpu().numpy(),
        labels=found.labels.cpu().numpy(),
        masks=masks,
        keypoints=None if found.keypoints is None else found.keypoints.cpu().numpy(),
    )


def write_results(
    saved: SavedModel | Ensemble,
    dataset: CocoDataset,
    settings: InferenceSettings,
    path: Path,
    proposals: Proposals | None = None,
    work: Work = ALONE,
) -> None:
    """Predict every image of a data set and write the objects as a JSON list.

    These are COCO results: `image_id`, `category_id`, `bbox` (xywh), `score` and, if the model
    predicts them, `segmentation` (RLE at image size) and `keypoints` [x, y, score, ...], in pixels
    of the image on disk.

    Args:
        proposals: boxes to look at instead of a model's own proposals.

    Raises:
        UserError: the data set's categories are not those that the model was trained for, an image
            cannot be read or its size differs from its record's, or the list cannot be written.
    """
    require_same_categories(saved, dataset)
    if isinstance(saved, Ensemble):
        of_model = partial(_steps, settings=settings)
        write_pooled(saved, dataset.images, of_model, path, work)
        return
    write_in_parts(path, dataset.images, _steps(saved, settings, proposals), LIST, work)


def _steps(
    saved: SavedModel, settings: InferenceSettings, proposals: Proposals | None = None
) -> Steps:
    asked = _asked(saved, settings)

    def find(record: ImageRecord, seen: list[Tensor]) -> Found:
        boxes = None if proposals is None else proposals.of(record.id)
        size = (record.height, record.width)
        found = _detect(saved, seen, size, asked, boxes)
        return Found(record.id, *size, found.to(torch.device("cpu")))

    categories = [category for category, _ in saved.categories]
    read = partial(_read, settings=saved.input, test=asked.test)
    return Steps(read, find, partial(coco_results, categories=categories))


def _read(record: ImageRecord, settings: InputSettings, test: DetectionAtTest) -> list[Tensor]:
    return see(read_record(record), settings, test)


def require_same_categories(
    saved: SavedModel | Ensemble, dataset: CocoDataset | LabelledImages
) -> None:
    """Refuse a data set with other categories than a model was trained for.

    Raises:
        UserError: the data set's categories are not the model's.
    """
    categories = [(c.id, c.name) for c in dataset.categories]
    if categories != saved.categories:
        raise UserError(
            f"the model was trained for the categories {_names(saved.categories)}, "
            f"the data set has {_names(categories)}"
        )


def detect(
    saved: SavedModel,
    image: NDArray[np.uint8],
    settings: InferenceSettings,
    proposals: Boxes | None = None,
) -> Detections:
    """Detect at the network's input size, or in several views, as the settings say.

    Boxes and keypoints are moved back to the image's pixels.

    Args:
        proposals: (P, 4), xyxy in pixels of the image; none: the model's own.

    Raises:
        UserError: `settings` say how many boxes are given, and none are.
    """
    asked = _asked(saved, settings)
    size = (image.shape[0], image.shape[1])
    return _detect(saved, see(image, saved.input, asked.test), size, asked, proposals)


def _asked(saved: SavedModel, settings: InferenceSettings) -> InferenceSettings:
    """Put what the settings ask for on top of what the model is always tested with."""
    if saved.test is None:
        return settings
    return settings.model_copy(update={"test": on_top(saved.test, settings.test)})


def _detect(
    saved: SavedModel,
    seen: list[Tensor],
    size: tuple[int, int],
    settings: InferenceSettings,
    proposals: Boxes | None,
) -> Detections:
    """Detect in an image of this size, (H, W), whose views are `seen`."""
    if proposals is None and settings.test.given_proposals is not None:
        raise UserError("test.given_proposals: this detector finds proposals of its own")
    if settings.test.has_views:
        return find_in_views(saved, seen, size, settings, proposals)
    height, width = size
    (tensor,) = seen
    device = saved.model.backbone.pixel_mean.device
    given = None
    if proposals is not None:
        moved = move_boxes(proposals, (height, width), (tensor.shape[1], tensor.shape[2]))
        given = [torch.from_numpy(moved).to(device)]
    with computing_in(settings.test.precision, device):
        (found,) = saved.model.detect([tensor.to(device)], settings, given)
    scale = torch.tensor([width / tensor.shape[2], height / tensor.shape[1]], device=device)
    boxes = clip_boxes(found.boxes * scale.repeat(2), (height, width))
    points = found.keypoints
    if points is not None:
        points = torch.cat([points[..., :2] * scale, points[..., 2:]], dim=2)
    moved = dataclasses.replace(found, boxes=boxes, keypoints=points)
    return moved.select(is_nonempty(boxes))


def _names(categories: list[tuple[int, str]]) -> str:
    shown = ", ".join(name for _, name in categories[:5])
    return f"({len(categories)}: {shown}{', ...' if len(categories) > 5 else ''})"
