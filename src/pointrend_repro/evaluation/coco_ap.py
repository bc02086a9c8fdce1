"""COCO's average precision of masks and boxes, computed by pycocotools."""

import contextlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pointrend_repro.declarations.coco_limits import CocoLimits
from pointrend_repro.declarations.official_keys import COCO_KEYS
from pointrend_repro.evaluation.instance_results import (
    InstanceResults,
    blocks,
    index_results,
    require_known,
    require_masks,
)
from pointrend_repro.evaluation.instance_truth import Truth, without
from pointrend_repro.evaluation.match_table import COCO_FIELDS, MatchTable
from pointrend_repro.evaluation.official_files import Entry, read_ground_truth, require_masks_drawn
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

_log = logging.getLogger(__name__)

Kind = Literal["segm", "bbox"]

_REQUIRED = {
    "images": ("id", "height", "width"),
    "annotations": ("image_id", "category_id", "bbox", "area"),
    "categories": ("id",),
}


def coco_ap(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score instance predictions by COCO's AP.

    Args:
        ground_truth: annotations in COCO format.
        predictions: predictions in COCO's results format.

    Returns:
        Mask `AP` (mean over IoU 0.50:0.05:0.95), `AP50`, `AP75`, `APs`, `APm`, `APl`, and the box
        AP `AP_box`, in percent. None stands for a number without any object, where the tool
        says -1; `AP_box` is also None if predictions come without `bbox`.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    return score_coco_ap(ground_truth, predictions, ReadOnce()).values


def score_coco_ap(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `coco_ap` does, and also return pycocotools' matches of masks."""
    truth, results = read_coco_results(ground_truth, predictions, once)
    kinds: tuple[Kind, ...] = ("segm", "bbox") if results.has_boxes else ("segm",)
    tables = once(coco_matches, ground_truth, predictions, once, kinds)
    whole = _summarized_silently(truth, tables["segm"], "segm")
    stats = [percent(number) for number in whole.stats[: len(COCO_KEYS)]]
    values = dict(zip(COCO_KEYS, stats, strict=True))
    box_ap = coco_stats(truth, tables["bbox"], "bbox")[0] if results.has_boxes else None
    by_class = _by_class(truth, whole)
    return Scored(values | {"AP_box": box_ap}, tables["segm"], by_class=by_class)


def _by_class(truth: Truth, whole: COCOeval) -> dict[str, float | None]:
    """Return AP of each class as `summarize` averages it: over thresholds and recalls."""
    found = {}
    for index, name in enumerate(truth.class_names):
        precision = whole.eval["precision"][:, :, index, 0, -1]  # all areas, most detections
        known = precision[precision > -1]
        found[name] = percent(known.mean()) if known.size else None
    return found


def read_coco_results(
    ground_truth: Path, predictions: Path, once: ReadOnce, *, masks: bool = True
) -> tuple[Truth, InstanceResults]:
    """Read and check annotations and predictions before a COCO scorer compares them.

    Args:
        masks: whether it compares masks.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    _, truth, results = once(_read_checked, ground_truth, predictions, once)
    if masks:
        once(_require_masks, ground_truth, predictions, once)
    return truth, results


def _require_masks(ground_truth: Path, predictions: Path, once: ReadOnce) -> None:
    content, _, results = once(_read_checked, ground_truth, predictions, once)
    require_masks_drawn(content, ground_truth)
    require_masks(results)


def _read_checked(
    ground_truth: Path, predictions: Path, once: ReadOnce
) -> tuple[dict[str, Any], Truth, InstanceResults]:
    content = read_ground_truth(ground_truth, _REQUIRED)
    results = once(index_results, predictions)
    require_known(
        results,
        sizes={image["id"]: (image["height"], image["width"]) for image in content["images"]},
        category_ids={category["id"] for category in content["categories"]},
    )
    return content, Truth(content), results


def percent(number: float) -> float | None:
    """Return a scorer's fraction in percent, or None for -1: a number without any object."""
    return None if number < 0 else 100 * float(number)


def coco_matches(
    ground_truth: Path,
    predictions: Path,
    once: ReadOnce,
    kinds: Sequence[Kind],
    limits: CocoLimits | None = None,
) -> dict[Kind, MatchTable]:
    """Let pycocotools match detections to objects, block by block.

    Args:
        kinds: what is compared, masks or boxes; several take one pass through the files.
        limits: of sizes and detections; none: COCO's.
    """
    truth, results = read_coco_results(ground_truth, predictions, once, masks="segm" in kinds)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tables = _match(truth, results, kinds, limits)
    _log.debug("pycocotools: %s", printed.getvalue())
    return tables


def _match(
    truth: Truth, results: InstanceResults, kinds: Sequence[Kind], limits: CocoLimits | None
) -> dict[Kind, MatchTable]:
    tables = {kind: match_table(truth) for kind in kinds}
    for image_ids, found in blocks(truth.image_ids, results):
        index = coco_index(truth.of_images(image_ids))
        for kind in kinds:
            other = "segmentation" if kind == "bbox" else "bbox"
            evaluation = COCOeval(index, loaded(index, without(other, found)), kind)
            _limit(evaluation, limits)
            evaluation.evaluate()
            tables[kind].add(evaluation.evalImgs, len(image_ids))
    return tables


def match_table(truth: Truth) -> MatchTable:
    """Return a table for pycocotools' matches of these annotations; it is empty."""
    names = tuple(str(image_id) for image_id in truth.image_ids)
    defaults = COCOeval(iouType="segm").params
    lengths = len(truth.category_ids), len(defaults.areaRng), len(defaults.iouThrs)
    return MatchTable(COCO_FIELDS, names, *lengths)


def loaded(truth: COCO, found: list[Entry]) -> COCO:
    """Return predictions in pycocotools' index, without a file; their entries are modified."""
    # loadRes reads the first prediction, and fails if there is none.
    return truth.loadRes(found) if found else coco_index({**truth.dataset, "annotations": []})


def coco_stats(truth: Truth, table: MatchTable, kind: Kind) -> list[float | None]:
    """Return the numbers of `COCO_KEYS` for pycocotools' matches, in percent."""
    return _all_stats(truth, table, kind)[: len(COCO_KEYS)]


def coco_recalls(truth: Truth, table: MatchTable, kind: Kind) -> list[float | None]:
    """Return the numbers of `COCO_AR_KEYS` for pycocotools' matches, in percent."""
    return _all_stats(truth, table, kind)[len(COCO_KEYS) :]


def _all_stats(truth: Truth, table: MatchTable, kind: Kind) -> list[float | None]:
    return [percent(number) for number in _summarized_silently(truth, table, kind).stats]


def _summarized_silently(truth: Truth, table: MatchTable, kind: Kind) -> COCOeval:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        evaluation = summarized(truth, table, kind)
    _log.debug("pycocotools: %s", printed.getvalue())
    return evaluation


def summarized(truth: Truth, table: MatchTable, kind: str) -> COCOeval:
    """Let pycocotools accumulate the matches, one category at a time, and summarise them."""
    whole = accumulated(truth, table, kind)
    whole.summarize()
    return whole


def accumulated(
    truth: Truth, table: MatchTable, kind: str, limits: CocoLimits | None = None
) -> COCOeval:
    """Let pycocotools accumulate matches that were made with these limits."""
    # For no category: this gives the shape of categories without results.
    whole = _accumulated(truth, [], [None], kind, limits)
    parts = [whole.eval] + [
        _accumulated(truth, [category_id], table.official(index), kind, limits).eval
        for index, category_id in enumerate(truth.category_ids)
    ]
    for key, axis in (("precision", 2), ("scores", 2), ("recall", 1)):
        whole.eval[key] = np.concatenate([part[key] for part in parts], axis=axis)
    return whole


def _accumulated(
    truth: Truth,
    category_ids: list[int],
    matches: list[Any],
    kind: str,
    limits: CocoLimits | None,
) -> COCOeval:
    evaluation = COCOeval(iouType=kind)
    _limit(evaluation, limits)
    evaluation.params.imgIds, evaluation.params.catIds = truth.image_ids, category_ids
    evaluation._paramsEval = evaluation.params
    evaluation.evalImgs = matches
    evaluation.accumulate()
    return evaluation


def _limit(evaluation: COCOeval, limits: CocoLimits | None) -> None:
    if limits is None:
        return
    low, high = limits.area_limits_px
    most = evaluation.params.areaRng[0][1]
    evaluation.params.areaRng = [[0, most], [0, low], [low, high], [high, most]]
    evaluation.params.maxDets = list(limits.max_detections)


def coco_index(dataset: dict[str, Any]) -> COCO:
    """Return annotations in pycocotools' index, without a file."""
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco
