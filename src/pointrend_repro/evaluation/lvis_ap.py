"""AP*: predictions of COCO's classes scored on the finer annotations of LVIS v0.5.

The protocol is detectron2's (datasets/prepare_cocofied_lvis.py, evaluation/lvis_evaluation.py): the
LVIS file is reduced to COCO's 80 categories, and the `lvis` package scores the predictions under
LVIS's federated rules. In an image, a category counts only if LVIS annotated it there or verified
that it is absent; where it is annotated but not exhaustively, unmatched detections are ignored.
"""

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import shown
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.declarations.official_keys import LVIS_KEYS
from pointrend_repro.evaluation._lvis_compat import working_lvis
from pointrend_repro.evaluation.instance_results import (
    InstanceResults,
    blocks,
    index_results,
    require_known,
    require_masks,
)
from pointrend_repro.evaluation.instance_truth import Change, Truth, without
from pointrend_repro.evaluation.match_table import LVIS_FIELDS, MatchTable
from pointrend_repro.evaluation.official_files import Entry, read_ground_truth
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

_log = logging.getLogger(__name__)

_ID_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
_REQUIRED = {
    "images": ("id", "height", "width", *_ID_LISTS),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "segmentation"),
    "categories": ("id", "synset", "frequency"),
}

# A detector finds something wherever there is an object, nearly; else it was given fewer images.
_BARE_SHARE = 0.1
_MAX_DETECTIONS = 300  # per image; LVIS's own limit, and the one for AP*


def lvis_ap_star(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score COCO predictions by AP*.

    Predictions in images that the LVIS file lacks are left out, and their number is logged. So is
    that of its images with objects and without predictions, if there are many.

    Args:
        ground_truth: LVIS v0.5 annotations, such as `lvis_v0.5_val.json`.
        predictions: predictions in COCO's results format, with COCO's category ids.

    Returns:
        Mask `AP` (mean over IoU 0.50:0.05:0.95), `AP50`, `AP75`, `APs`, `APm`, `APl`, `APr`, `APc`
        and `APf` in percent; None stands for a number without any object, where the tool says -1.

    Raises:
        UserError: a file is faulty, or the two have no image in common.
    """
    return score_lvis_ap_star(ground_truth, predictions, ReadOnce()).values


def score_lvis_ap_star(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `lvis_ap_star` does, and also return the matches of the `lvis` package."""
    truth, results = _read(ground_truth, predictions, once)
    with working_lvis() as lvis:
        table, evaluation = _match(lvis, truth, results)
        _summarize(evaluation, table)
    numbers = evaluation.get_results()
    values = {key: None if numbers[key] < 0 else 100 * float(numbers[key]) for key in LVIS_KEYS}
    return Scored(values, table)


def _read(ground_truth: Path, predictions: Path, once: ReadOnce) -> tuple[Truth, InstanceResults]:
    """Read the annotations, reduced to COCO's categories, and index the predictions."""
    whole = read_ground_truth(ground_truth, _REQUIRED)
    _require_id_lists(whole["images"], ground_truth)
    content, change = cocofy(whole)
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    if not sizes:
        raise UserError(f"{ground_truth}: lists no images; give LVIS v0.5 annotations")
    results = once(index_results, predictions)
    require_masks(results)
    require_known(
        results,
        sizes=sizes,
        category_ids={row.id for row in COCO_CATEGORIES},
        other_images="skip",
    )
    known = results.count(sizes)
    if len(results) and not known:
        raise UserError(
            f"{predictions}: has no image in common with {ground_truth}; "
            "predict on the images that LVIS annotates (COCO val2017 for v0.5 val)"
        )
    with_objects = {e["image_id"] for e in content["annotations"] if change(e) is not None}
    bare = len(with_objects - set(results.image.values))
    if bare > _BARE_SHARE * len(with_objects):
        _log.warning(
            "%s: has nothing in %d of %d images with objects of %s, which all count as missed; if "
            "nothing was predicted on these images, cut that file to the others (docs/data.md)",
            *(predictions, bare, len(with_objects), ground_truth),
        )
    if known < len(results):
        _log.warning(
            "%s: left out %d of %d predictions, in images that %s does not list",
            *(predictions, len(results) - known, len(results), ground_truth),
        )
    return Truth(content, change), results


def _require_id_lists(images: list[Entry], path: Path) -> None:
    for index, image in enumerate(images):
        for key in _ID_LISTS:
            if not isinstance(image[key], list) or set(map(type, image[key])) - {int}:
                raise UserError(
                    f"{path}: images[{index}]: {key} is {shown(image[key])}; write the ids of "
                    "categories [...]"
                )


def cocofy(lvis: dict[str, Any]) -> tuple[dict[str, Any], Change]:
    """Reduce LVIS annotations to COCO's categories, under COCO's category ids.

    All images stay. A category stays if it has an object, or if it is verified as absent or marked
    as not exhaustive in some image. The input is not changed.

    Returns:
        The content, with `annotations` as they were, and what to make of each of them.
    """
    coco_ids = {row.synset: row.id for row in COCO_CATEGORIES}
    new_ids = {
        category["id"]: coco_ids[category["synset"]]
        for category in lvis["categories"]
        if category["synset"] in coco_ids
    }

    def change(entry: Entry) -> Entry | None:
        category_id = new_ids.get(entry["category_id"])
        return None if category_id is None else {**entry, "category_id": category_id}

    images = [
        {**image, **{key: [new_ids[i] for i in image[key] if i in new_ids] for key in _ID_LISTS}}
        for image in lvis["images"]
    ]
    used = {new_ids.get(entry["category_id"]) for entry in lvis["annotations"]}
    used.update(i for image in images for key in _ID_LISTS for i in image[key])
    categories = [
        {**category, "id": new_ids[category["id"]]}
        for category in lvis["categories"]
        if category["id"] in new_ids and new_ids[category["id"]] in used
    ]
    return {**lvis, "images": images, "categories": categories}, change


def _match(lvis: Any, truth: Truth, results: InstanceResults) -> tuple[MatchTable, Any]:
    """Let the `lvis` package match detections to objects, block by block.

    Returns:
        All matches, and the evaluation of the last block, which knows all categories.
    """
    names = tuple(str(image_id) for image_id in truth.image_ids)
    table: MatchTable | None = None
    for image_ids, found in blocks(truth.image_ids, results):
        evaluation = _evaluation(lvis, truth.of_images(image_ids), found)
        evaluation.evaluate()
        parameters = evaluation.params
        table = table or MatchTable(
            LVIS_FIELDS,
            names,
            len(parameters.cat_ids),
            len(parameters.area_rng),
            len(parameters.iou_thrs),
        )
        table.add(evaluation.eval_imgs, len(image_ids))
    assert table is not None  # there are images
    evaluation.params.img_ids = truth.image_ids
    return table, evaluation


def _evaluation(lvis: Any, truth: dict[str, Any], found: list[Entry]) -> Any:
    """Return the `lvis` package's evaluation of some images, before its first step."""
    # Without boxes, so that a detection's area is its mask's: LVISResults prefers the box's.
    masks = without("bbox", found)
    if not masks:
        # LVISResults fails on an empty list; LVISEval ignores a category that it lacks.
        image_id = truth["images"][0]["id"]
        masks = [{"image_id": image_id, "category_id": -1, "bbox": [0, 0, 0, 0], "score": 0}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cocofied.json"  # LVIS reads annotations from files only
        path.write_text(json.dumps(truth), encoding="utf-8")
        api = lvis.LVIS(str(path))
    return lvis.LVISEval(api, lvis.LVISResults(api, masks, max_dets=_MAX_DETECTIONS), "segm")


def _summarize(evaluation: Any, table: MatchTable) -> None:
    """Let the `lvis` package accumulate the matches, one category at a time, and summarise them."""
    category_ids = evaluation.params.cat_ids
    # The first part is for no category: it gives the shape of categories without results.
    parts = [_accumulated(evaluation, [], [None])] + [
        _accumulated(evaluation, [category_id], table.official(index))
        for index, category_id in enumerate(category_ids)
    ]
    evaluation.params.cat_ids = category_ids
    for key, axis in (("precision", 2), ("recall", 1)):
        evaluation.eval[key] = np.concatenate([part[key] for part in parts], axis=axis)
    evaluation.summarize()


def _accumulated(evaluation: Any, category_ids: list[int], matches: list[Any]) -> dict[str, Any]:
    evaluation.params.cat_ids = category_ids
    evaluation.eval_imgs = matches
    evaluation.accumulate()
    found: dict[str, Any] = evaluation.eval
    return found
