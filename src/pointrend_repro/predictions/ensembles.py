"""Several detectors that predict together: what they find is pooled before a last NMS.

Each model sees the image at its own size, and finds masks and keypoints in its own boxes. All boxes
with these then compete, class by class, by their scores times the weight of their model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.structures import Detections
from pointrend_repro.modeling.boxes import suppress
from pointrend_repro.settings.ensemble import EnsembleSettings


class Found(NamedTuple):
    """One object: its mask's logits (M, M) in its box (4,), xyxy in pixels of the image.

    There are no logits if the model has no mask head. Keypoints are (K, 3), x and y in the same
    pixels and a score, if the model finds any.
    """

    mask_logits: Tensor | None
    box: Tensor
    score: float
    label: int
    keypoints: Tensor | None = None


@dataclass(frozen=True)
class Ensemble:
    """Models for the same classes, the variant's own first."""

    models: tuple[SavedModel, ...]
    settings: EnsembleSettings

    @property
    def categories(self) -> list[tuple[int, str]]:
        """The (id, name) of the classes, the same of all models."""
        return self.models[0].categories


def make_ensemble(models: tuple[SavedModel, ...], settings: EnsembleSettings) -> Ensemble:
    """Put models together.

    Raises:
        UserError: they are not for the same classes and keypoints, or only some of them predict
            masks.
    """
    for number, model in enumerate(models):
        name = f"ensemble.variants: {settings.variants[number - 1]}"
        if model.categories != models[0].categories:
            raise UserError(f"{name} was trained for other classes")
        if model.keypoints != models[0].keypoints:
            raise UserError(f"{name} finds other keypoints")
        if _has_masks(model) != _has_masks(models[0]):
            which = "has a mask head" if _has_masks(model) else "has no mask head"
            raise UserError(f"{name} {which}, unlike the variant itself; all must, or none")
    return Ensemble(models, settings)


def rows(found: Detections) -> Iterator[Found]:
    """Yield the objects that one model has found."""
    numbers = found.scores.tolist(), found.labels.tolist()
    parts = _each(found.mask_logits, found), _each(found.keypoints, found)
    for logits, points, box, score, label in zip(*parts, found.boxes, *numbers, strict=True):
        yield Found(logits, box, score, label, points)


def pool(found: list[Detections], settings: EnsembleSettings) -> list[Found]:
    """Return what is left of all that several models have found, highest-scoring first.

    Args:
        found: of each model in the order of the weights, in pixels of the same image. The masks of
            one model may be of another resolution than those of another.
    """
    weights = settings.weights or (1.0,) * len(found)
    boxes = torch.cat([each.boxes for each in found])
    scores = torch.cat([each.scores * w for each, w in zip(found, weights, strict=True)])
    labels = torch.cat([each.labels for each in found])
    keep = suppress(boxes, scores, labels, settings.nms_iou)[: settings.detections_per_image]
    objects = [row for each in found for row in rows(each)]
    return [objects[i]._replace(score=float(scores[i])) for i in keep.tolist()]


def _each(part: Tensor | None, found: Detections) -> Iterable[Tensor | None]:
    return [None] * len(found.boxes) if part is None else part


def _has_masks(model: SavedModel) -> bool:
    return model.model.mask_head is not None
