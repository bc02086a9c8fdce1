"""How well a model segments single images: by which those that it does worst come first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.segmentations import segmentation_mask
from pointrend_repro.modeling.detector import NO_MASKS
from pointrend_repro.predictions.instances import Instances, predict_image
from pointrend_repro.settings.instances import InferenceSettings

MIN_SCORE = 0.5
MIN_IOU = 0.5

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Objects:
    """Objects of one image: `masks` (N, H, W), and their classes `labels` (N,)."""

    masks: Masks
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """What a model makes of one image's objects.

    Attributes:
        value: panoptic quality (Kirillov et al., 2019) over the objects of all classes, from 0 to
            1: the sum of the IoU of those found by found + missed / 2 + extra / 2. 1 if there is
            nothing and nothing is found.
    """

    value: float
    found: int
    missed: int
    extra: int


@dataclass(frozen=True)
class JudgedImage:
    """An image (H, W, 3), its annotated objects, and those that a model finds in it."""

    record: ImageRecord
    pixels: NDArray[np.uint8]
    truth: Objects
    predicted: Objects
    quality: Quality


def judge_image(saved: SavedModel, record: ImageRecord) -> JudgedImage:
    """Compare what a model finds with a score of `MIN_SCORE` with what is annotated.

    Raises:
        UserError: the image cannot be read, or the model has no mask head.
    """
    pixels = read_record(record)
    height, width = pixels.shape[:2]

    def drawn(crowds: bool) -> Objects:
        kept = [each for each in record.annotations if each.is_crowd == crowds]
        masks = [segmentation_mask(each.segmentation, height, width) for each in kept]
        shape = (len(masks), height, width)
        labels = np.array([each.label for each in kept], dtype=np.int64)
        return Objects(np.array(masks, dtype=bool).reshape(shape), labels)

    predicted = _sure(predict_image(saved, pixels, InferenceSettings()))
    truth = drawn(crowds=False)
    quality = judge_objects(truth, predicted, crowds=drawn(crowds=True).masks)
    return JudgedImage(record, pixels, truth, predicted, quality)


def judge_objects(truth: Objects, predicted: Objects, crowds: Masks) -> Quality:
    """Match what is found, best first, each to the free object of its class that it covers best.

    Args:
        crowds: (C, H, W), regions of many objects; what lies in them by half is not counted.
    """
    free, total, found, extra = set(range(len(truth.labels))), 0.0, 0, 0
    for mask, label in zip(predicted.masks, predicted.labels, strict=True):
        ious = {k: _iou(mask, truth.masks[k]) for k in free if truth.labels[k] == label}
        best = max(ious, key=lambda k: ious[k], default=None)
        if best is not None and ious[best] > MIN_IOU:
            free.remove(best)
            total, found = total + ious[best], found + 1
        elif 2 * (mask & crowds.any(axis=0)).sum() < mask.sum() or not mask.any():
            extra += 1
    parts = found + extra / 2 + len(free) / 2
    return Quality(total / parts if parts else 1.0, found, len(free), extra)


def chosen_images(dataset: CocoDataset, limit: int) -> list[ImageRecord]:
    """Return up to `limit` validation images, evenly spaced in the order of their names."""
    by_name = sorted(dataset.images, key=lambda record: (record.path.name, record.id))
    step = max(1, -(-len(by_name) // limit))
    return by_name[::step]


def _sure(found: Instances) -> Objects:
    if found.masks is None:
        raise UserError(NO_MASKS)
    keep = found.scores >= MIN_SCORE
    order = np.argsort(-found.scores[keep], kind="stable")
    return Objects(found.masks[keep][order], found.labels[keep][order].astype(np.int64))


def _iou(mask: Masks, other: Masks) -> float:
    union = (mask | other).sum()
    return float((mask & other).sum() / union) if union else 0.0
