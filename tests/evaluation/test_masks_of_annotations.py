"""Annotations whose masks cannot be drawn are refused, by all metrics of masks alike."""

import json
from pathlib import Path
from typing import Any

import pytest
from changed_truth import Builder, changed_truth, of

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation import evaluate_predictions

OF_MASKS = (
    *("coco_ap", "coco_ar", "boundary_ap", "boundary_ap_cityscapes"),
    *("future3d_ap", "lvis_ap_star", "proposal_recall"),
)
FAULTS: dict[str, tuple[Any, str]] = {
    "nothing": ([], "has an empty segmentation, so no mask"),
    "null": (None, "has a segmentation that is neither polygons nor RLE"),
    "an empty polygon": ([[]], "has a polygon of fewer than 3 points"),
    "a line, which pycocotools takes for a box": ([[1, 2, 3, 4]], "fewer than 3 points"),
    "words": ([["a", "b", "c", "d", "e", "f"]], "has a polygon that is not a list of finite"),
    "of another size": ({"size": [9, 9], "counts": [81]}, "has an RLE of size"),
    "too short": ({"size": [48, 64], "counts": [5]}, "has an RLE of 5 pixels"),
    "too short, compressed": ({"size": [48, 64], "counts": "5"}, "has an RLE of 5 pixels"),
    "far out, on which pycocotools crashes": (
        [[1, 1, 1e9, 1, 1e9, 9]],
        r"has a polygon with a coordinate of 1000000000\.0, beyond the 1000000 pixels",
    ),
}


@pytest.mark.parametrize("metric", OF_MASKS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_object_is_named(coco_builder: Builder, metric: str, fault: str) -> None:
    segmentation, message = FAULTS[fault]
    truth, found = changed_truth(coco_builder, of("annotations", 1, segmentation=segmentation))
    if metric == "proposal_recall":  # compares masks where predictions have them
        found.write_text(json.dumps([a_detection(truth)]))
    with pytest.raises(UserError, match=rf"val2017\.json: annotations\[1\]: .*{message}"):
        evaluate_predictions(metric, truth, found)


def a_detection(truth: Path) -> dict[str, Any]:
    (image, *_) = json.loads(truth.read_text())["images"]
    from pycocotools import mask as mask_utils

    rle = mask_utils.frPyObjects([[1, 1, 9, 1, 9, 9]], image["height"], image["width"])[0]
    mask = {"size": rle["size"], "counts": rle["counts"].decode()}
    return {"image_id": image["id"], "category_id": 3, "score": 0.5, "segmentation": mask}


@pytest.mark.parametrize("metric", ["coco_box_ap", "coco_box_ar"])
def test_a_metric_of_boxes_needs_no_masks(coco_builder: Builder, metric: str) -> None:
    truth, found = changed_truth(coco_builder, of("annotations", 1, segmentation=[]))
    assert 0 in evaluate_predictions(metric, truth, found).values()
