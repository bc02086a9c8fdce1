"""Pools COCO result files image by image, and writes one file of the same format."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pycocotools.mask as mask_utils

from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_json
from pointrend_repro.base.json_list import write_json_list
from pointrend_repro.base.json_text import shown
from pointrend_repro.base.origins import origin_path
from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.evaluation.instance_results import InstanceResults
from pointrend_repro.predictions.pooling import Overlap, Result, pool
from pointrend_repro.settings.at_test import Nms
from pointrend_repro.tools.ensemble.output import forgetting


@dataclass(frozen=True)
class PoolSettings:
    """How the predictions of several files become one.

    Attributes:
        weights: a factor of the scores of each file.
        nms: whether an object that a better one of its class overlaps goes, or has its score
            lowered.
        overlap: of what, boxes or masks.
        nms_iou: an overlap that still does nothing.
        detections_per_image: how many objects are kept at most.

    Raises:
        UserError: a number is out of range.
    """

    weights: tuple[float, ...]
    nms: Nms = "soft_linear"
    overlap: Overlap = "boxes"
    nms_iou: float = 0.5
    detections_per_image: int = 100

    def __post_init__(self) -> None:
        for weight in self.weights:
            if not (math.isfinite(weight) and weight > 0):
                raise UserError(f"weights: {weight} is no finite number above 0")
        if not 0 < self.nms_iou <= 1:
            raise UserError(f"iou: {self.nms_iou} is not above 0 and at most 1")
        if self.detections_per_image < 1:
            raise UserError(f"detections: {self.detections_per_image} is below 1")


def write_ensemble(members: Sequence[InstanceResults], settings: PoolSettings, output: Path) -> int:
    """Write what is left of all members' predictions, and a record of how beside it.

    Only one image's predictions are in memory, and some bytes for each of all others. Images come
    by rising id, an image's objects by falling score. Masks, keypoints and whatever else an entry
    has are taken as they are; only its score is another. Boxes are left out if not all files have
    them: COCO's tools would sort some masks into sizes by boxes and others by their own area.

    Args:
        output: that `require_output` has let pass.

    Returns:
        How many predictions are left.

    Raises:
        UserError: a score is below 0; an older output is then as it was.
    """
    paths = [member.path for member in members]
    told = asdict(settings) | {"files": [str(path) for path in paths]}
    finish = start_record(settings=told, seed=None, device=f"cpu ({cpu_name()})")
    inputs = [content_digest(path) for path in paths]
    left = 0

    def counted() -> Iterator[Result]:
        nonlocal left
        for entry in _pooled(members, settings):
            left += 1
            yield entry

    write_json_list(output, forgetting(counted(), output))
    made = {"input_digests": inputs, "output_digest": content_digest(output)}
    write_json(origin_path(output), {"predict": finish() | made})
    return left


def _pooled(members: Sequence[InstanceResults], settings: PoolSettings) -> Iterator[Result]:
    image_ids = sorted(set(itertools.chain(*(member.image.values for member in members))))
    with_boxes = all(member.has_boxes for member in members if len(member))
    for image_id in image_ids:
        found = [_checked(member, image_id) for member in members]
        for entry in pool(
            found,
            settings.weights,
            nms=settings.nms,
            nms_iou=settings.nms_iou,
            count=settings.detections_per_image,
            overlap=settings.overlap,
        ):
            yield entry if with_boxes else {k: v for k, v in entry.items() if k != "bbox"}


def _checked(member: InstanceResults, image_id: Any) -> list[Result]:
    found: list[Result] = member.of_images([image_id])
    for entry in found:
        if entry["score"] < 0:
            raise UserError(
                f"{member.path}: a prediction in image {image_id} has score "
                f"{shown(entry['score'])}; scores that are weighted must be at least 0"
            )
    for entry in found:
        if "bbox" not in entry:
            entry["bbox"] = [float(value) for value in mask_utils.toBbox(entry["segmentation"])]
    return found
