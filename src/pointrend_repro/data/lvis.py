"""Whether LVIS's annotations fit a data set, so that AP* says what it should.

LVIS v0.5's val is COCO's val2017: detectron2 reads all of its images from there. Any other file may
list images that a data set's val lacks, as that of LVIS v1 does, with 15 thousand of train2017.
Nothing is predicted on those, and all of their objects would count as missed.
"""

import logging
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.long_list import read_with_long_list
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.data.fingerprint import file_sha256
from pointrend_repro.declarations.metric import METRICS

_log = logging.getLogger(__name__)

_V1_CATEGORIES = 1203  # v0.5 has 1230


def describe_lvis(
    config: Dataset, val: CocoDataset, lvis: Path, annotations: Path
) -> dict[str, Any]:
    """Check LVIS's annotations of a data set's val, and count and fingerprint them.

    Args:
        annotations: those of val, for messages.

    Raises:
        UserError: the file cannot be read, or AP* of this data set would be wrong.
    """
    content = read_with_long_list(lvis, "annotations", allow_nan=True)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UserError(f"{lvis}: has no list 'images'; give LVIS v0.5 annotations")
    scored = [m for m in METRICS.all() if m.truth == "lvis_annotations"]
    if any(config.is_scored_by(metric.name) for metric in scored):
        _require_images_of_val(content, val, lvis, annotations)
    if config.is_scored_by("lvis_ap_star"):
        _require_classes_of_coco(val, lvis, annotations)
        _warn_of_other_classes(content, val, lvis)
    return {"images": len(content["images"]), "sha256": file_sha256(lvis)}


def _require_images_of_val(
    content: dict[str, Any], val: CocoDataset, lvis: Path, annotations: Path
) -> None:
    known = {image.id for image in val.images}
    listed = [image.get("id") for image in content["images"] if isinstance(image, dict)]
    lacking = [number for number in listed if number not in known]
    if not lacking:
        return
    advice = "cut it to val's images (docs/data.md)"
    if len(lacking) == len(listed):
        advice = "the two have no image in common, so give the LVIS annotations of val's images"
    elif len(content.get("categories") or []) == _V1_CATEGORIES:
        advice = (
            f"this is LVIS v1, whose val has images of train2017, too: give v0.5's, or {advice}"
        )
    raise UserError(
        f"{lvis}: lists {len(lacking)} images that {annotations} lacks, such as {lacking[0]}, and "
        f"their objects would all count as missed; {advice}"
    )


def _require_classes_of_coco(val: CocoDataset, lvis: Path, annotations: Path) -> None:
    """AP* takes a prediction's category id for COCO's, whatever it is in the data set."""
    coco = {row.id: row.name for row in COCO_CATEGORIES}
    for category in val.categories:
        if coco.get(category.id) != category.name:
            means = f"is {coco[category.id]!r}" if category.id in coco else "does not exist"
            raise UserError(
                f"{annotations}: category {category.id} is {category.name!r}, but in COCO that id "
                f"{means}, and AP* by {lvis} is for COCO's classes; give these their ids, or leave "
                "lvis_ap_star out of the data set's `metrics`"
            )


def _warn_of_other_classes(content: dict[str, Any], val: CocoDataset, lvis: Path) -> None:
    entries = content.get("categories")
    synsets = {each.get("synset") for each in entries or [] if isinstance(each, dict)}
    known = {category.id for category in val.categories}
    others = [r.name for r in COCO_CATEGORIES if r.synset in synsets and r.id not in known]
    if others:
        _log.warning(
            "%s: AP* counts COCO's classes that the data set lacks, too, such as %s (classes in "
            "all: %d): all of their objects count as missed",
            *(lvis, others[0], len(others)),
        )
