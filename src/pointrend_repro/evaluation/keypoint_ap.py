"""COCO's average precision of keypoints, computed by pycocotools.

An object's keypoints are found if the object keypoint similarity (OKS) reaches a threshold: the
mean of exp(-d^2 / (2 s^2 k^2)) over its labelled keypoints, with d the distance in pixels, s^2 the
object's `area` in the annotations, and k twice the keypoint's sigma.
"""

import contextlib
import io
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.category_names import category_name
from pointrend_repro.data.coco import Category
from pointrend_repro.data.coco_checks import category_problem
from pointrend_repro.data.keypoint_checks import keypoints_problem
from pointrend_repro.data.keypoints import KeypointDefinition, read_definition, require_keypoints
from pointrend_repro.declarations.official_keys import COCO_KEYPOINT_KEYS
from pointrend_repro.evaluation.coco_ap import coco_index, loaded, percent, summarized
from pointrend_repro.evaluation.instance_results import (
    InstanceResults,
    blocks,
    index_results,
    require_known,
)
from pointrend_repro.evaluation.instance_truth import Truth
from pointrend_repro.evaluation.match_table import COCO_FIELDS, MatchTable
from pointrend_repro.evaluation.official_files import Entry, read_ground_truth
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

_log = logging.getLogger(__name__)

_REQUIRED = {
    "images": ("id", "height", "width"),
    "annotations": ("image_id", "category_id", "bbox", "area"),
    "categories": ("id",),
}

# The rest of a prediction must not be there: loadRes would take a box's area for the detection's,
# where COCO's results format for keypoints has nothing but these.
_RESULT = ("image_id", "category_id", "keypoints", "score")


def score_keypoint_ap(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score keypoints by COCO's AP: 20 detections per image, sorted by their `score`.

    Args:
        ground_truth: annotations in COCO format, such as `person_keypoints_val2017.json`. Sigmas
            are those of their category, or COCO's for its 17 keypoints (data/keypoints.py).
        predictions: predictions in COCO's results format, with `keypoints` [x, y, score, ...], of
            which the official tool uses x and y, in the frame of the annotations: indices of
            pixels. Those of categories without keypoints are left out.

    Returns:
        `AP` (mean over OKS 0.50:0.05:0.95), `AP50`, `AP75`, `APm`, `APl` and the same of the
        recall, `AR` ..., in percent. None stands for a number without any object, where the tool
        says -1. Objects without a labelled keypoint do not count. And pycocotools' matches.

    Raises:
        UserError: a file is faulty or has no keypoints, or the two do not match.
    """
    content, truth, definition = once(_read_truth, ground_truth)
    results = once(index_results, predictions)
    require_known(
        results,
        sizes={image["id"]: (image["height"], image["width"]) for image in content["images"]},
        category_ids={category["id"] for category in content["categories"]},
    )
    _require_keypoints(results, len(definition.names), truth.category_ids)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        table = _match(truth, results, np.array(definition.sigmas))
        stats = summarized(truth, table, "keypoints").stats
    _log.debug("pycocotools: %s", printed.getvalue())
    values = dict(zip(COCO_KEYPOINT_KEYS, [percent(number) for number in stats], strict=True))
    return Scored(values, table)


def _read_truth(path: Path) -> tuple[dict[str, Any], Truth, KeypointDefinition]:
    """Read annotations: all, and those of categories with keypoints alone."""
    content = read_ground_truth(path, _REQUIRED)
    categories = [_category(entry, path) for entry in content["categories"]]
    definition = require_keypoints(categories, file=path)
    kept = {category.id for category in categories if category.keypoints is not None}
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for index, entry in enumerate(content["annotations"]):
        if entry["category_id"] not in kept:
            continue
        if problem := keypoints_problem(entry, definition, sizes[entry["image_id"]]):
            raise UserError(f"{path}: annotations[{index}] {problem}")

    def change(entry: Entry) -> Entry | None:
        return _completed(entry, len(definition.names)) if entry["category_id"] in kept else None

    of_keypoints = [entry for entry in content["categories"] if entry["id"] in kept]
    truth = Truth({**content, "categories": of_keypoints}, change)
    return content, truth, definition


def _category(entry: Entry, path: Path) -> Category:
    if problem := category_problem(entry, ()):
        raise UserError(f"{path}: category {entry['id']}: {problem}")
    return Category(entry["id"], category_name(entry), read_definition(entry))


def _completed(entry: Entry, count: int) -> Entry:
    """Return an object with all that the official tool reads; its mask is not needed."""
    points = entry.get("keypoints") or [0] * (3 * count)
    read = {key: entry[key] for key in ("image_id", "category_id", "bbox", "area")}
    labelled = sum(flag > 0 for flag in points[2::3])
    crowd = {"iscrowd": entry.get("iscrowd", 0)}
    return read | crowd | {"keypoints": points, "num_keypoints": labelled}


def _require_keypoints(results: InstanceResults, count: int, category_ids: Collection[int]) -> None:
    """Refuse predictions of categories with keypoints that have none, or others."""
    columns = results.category, results.points
    codes = {(c, p) for c, p in zip(*(column.codes.tolist() for column in columns), strict=True)}
    for category, points in codes:
        found = results.points.values[points]
        if results.category.values[category] in category_ids and found != count:
            here = (results.category.codes == category) & (results.points.codes == points)
            where = f"{results.path}: prediction {int(np.argmax(here))} (from 0)"
            if found is None:
                raise UserError(
                    f"{where}: has no 'keypoints', which this metric compares; give predictions of "
                    "a model with a keypoint_head"
                )
            raise UserError(f"{where}: has {found} keypoints, but the ground truth has {count}")


def _match(truth: Truth, results: InstanceResults, sigmas: Any) -> MatchTable:
    """Let pycocotools match detections to objects, block by block."""
    defaults = COCOeval(iouType="keypoints").params
    table = MatchTable(
        COCO_FIELDS,
        tuple(str(image_id) for image_id in truth.image_ids),
        len(truth.category_ids),
        len(defaults.areaRng),
        len(defaults.iouThrs),
    )
    for image_ids, found in blocks(truth.image_ids, results):
        index = coco_index(truth.of_images(image_ids))
        points = [
            {key: entry[key] for key in _RESULT}
            for entry in found
            if entry["category_id"] in truth.category_ids
        ]
        evaluation = COCOeval(index, loaded(index, points), "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        table.add(evaluation.evalImgs, len(image_ids))
    return table
