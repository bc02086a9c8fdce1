"""Boundary AP (2103.16562), which makes COCO's AP sensitive to boundaries, by faster-coco-eval.

The IoU of a pair is the smaller of the masks' IoU and of their boundaries' IoU; a boundary is what
an erosion by d pixels removes from a mask, with d 2 % of the image's diagonal. The paper does not
report this metric; the field has since used it to measure what the paper improves.

The authors' own tool (bowenc0221/boundary-iou-api) is not in the package index. This one follows
its definition, which the tests check against a plain implementation.
"""

import contextlib
import io
import logging
from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.evaluation.coco_ap import STATS, percent, read_coco_results
from pointrend_repro.evaluation.instance_results import InstanceResults, blocks
from pointrend_repro.evaluation.instance_truth import Truth, without
from pointrend_repro.evaluation.official_files import Entry
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

_log = logging.getLogger(__name__)

# Of the image's diagonal: the authors' value for COCO and LVIS.
_DILATION_RATIO = 0.02


def boundary_ap(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score instance predictions by Boundary AP.

    Args:
        ground_truth: annotations in COCO format.
        predictions: predictions in COCO's results format.

    Returns:
        `AP`, `AP50`, `AP75`, `APs`, `APm`, `APl` of boundaries, in percent; None stands for a
        number without any object.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    return score_boundary_ap(ground_truth, predictions, ReadOnce()).values


def score_boundary_ap(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `boundary_ap` does."""
    truth, results = read_coco_results(ground_truth, predictions, once)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        evaluation = _summarized(truth, _overlaps(truth, results))
    _log.debug("faster-coco-eval: %s", printed.getvalue())
    numbers = np.asarray(evaluation.stats, dtype=float)[: len(STATS)]
    return Scored(dict(zip(STATS, [percent(n) for n in numbers], strict=True)))


class _Found:
    """The detections of one category that can count, without their masks.

    Attributes:
        overlaps: boundary IoU by image, (detections, objects), for images that have both.
        image, score, area: of each detection: the image's id, and the mask's area in pixels; image
            by image, with falling scores in each.
    """

    def __init__(self) -> None:
        self.overlaps: dict[int, NDArray[np.float64]] = {}
        self.image, self.score, self.area = array("q"), array("d"), array("d")

    def add(self, image_id: int, entries: list[Entry], most: int) -> None:
        """Add an image's highest-scoring detections, as many as the tool uses."""
        for entry in sorted(entries, key=lambda entry: -entry["score"])[:most]:
            self.image.append(image_id)
            self.score.append(entry["score"])
            self.area.append(entry["area"])

    def entries(self, category_id: int) -> list[Entry]:
        """Return the detections in the form of the tool's own index of results."""
        columns = zip(self.image, self.score, self.area, strict=True)
        return [
            {"id": n, "image_id": i, "category_id": category_id, "score": score, "area": area}
            for n, (i, score, area) in enumerate(columns, start=1)
        ]


def _overlaps(truth: Truth, results: InstanceResults) -> dict[int, _Found]:
    """Let faster-coco-eval measure overlaps, block by block, and store them by category."""
    from faster_coco_eval import COCO, COCOeval_faster

    found: dict[int, _Found] = {category_id: _Found() for category_id in truth.category_ids}
    for image_ids, entries in blocks(truth.image_ids, results):
        index = COCO(truth.of_images(image_ids))
        masks = without("bbox", entries)
        evaluation = COCOeval_faster(
            index,
            index.loadRes(masks) if masks else COCO({**index.dataset, "annotations": []}),
            iouType="boundary",
            boundary_dilation_ratio=_DILATION_RATIO,
            boundary_cpu_count=1,
        )
        evaluation.evaluate()
        by_pair: dict[tuple[int, int], list[Entry]] = defaultdict(list)
        for entry in masks:
            by_pair[entry["category_id"], entry["image_id"]].append(entry)
        for (category_id, image_id), group in by_pair.items():
            found[category_id].add(image_id, group, evaluation.params.maxDets[-1])
        for (image_id, category_id), overlaps in evaluation.ious.items():
            if len(overlaps):
                found[int(category_id)].overlaps[int(image_id)] = overlaps
    return found


def _summarized(truth: Truth, found: dict[int, _Found]) -> Any:
    """Let faster-coco-eval match what overlaps, one category at a time, and summarise."""
    from faster_coco_eval import COCO, COCOeval_faster

    images, objects = _objects(truth)
    whole = COCOeval_faster(iouType="boundary")
    parts = []
    for category_id in truth.category_ids:
        own = found[category_id]
        one = {"images": images, "categories": [{"id": category_id}]}
        evaluation = COCOeval_faster(
            COCO({**one, "annotations": objects[category_id]}),
            COCO({**one, "annotations": own.entries(category_id)}),
            iouType="bbox",  # the masks are gone: overlaps are given
        )
        evaluation.computeIoU = lambda image_id, _, own=own: own.overlaps[image_id]
        evaluation.evaluate()
        evaluation.accumulate()
        parts.append(evaluation.eval)
    whole.eval = _joined(parts, whole.params)
    whole.summarize()
    return whole


def _objects(truth: Truth) -> tuple[list[Entry], dict[int, list[Entry]]]:
    """Return all images, and the objects of each category without their masks."""
    images: list[Entry] = []
    objects: dict[int, list[Entry]] = defaultdict(list)
    for image_id in truth.image_ids:
        content = truth.of_images([image_id])
        images += content["images"]
        for entry in content["annotations"]:
            kept = {key: entry[key] for key in ("id", "image_id", "category_id", "area", "iscrowd")}
            objects[entry["category_id"]].append(kept)
    return images, objects


def _joined(parts: list[dict[str, Any]], parameters: Any) -> dict[str, Any]:
    """Join the accumulated results of single categories; -1 stands for nothing."""
    none = (0, len(parameters.areaRng), len(parameters.maxDets))
    thresholds = len(parameters.iouThrs)
    empty = {
        "precision": np.empty((thresholds, len(parameters.recThrs), *none)),
        "recall": np.empty((thresholds, *none)),
    }
    return {
        key: np.concatenate([start, *(part[key] for part in parts)], axis=-3)
        for key, start in empty.items()
    }
