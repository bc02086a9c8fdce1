"""Annotations that a scorer would misread are refused, and official files are not."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from changed_truth import Builder, Change, changed_truth, of

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation import evaluate_predictions

METRICS = (
    *("coco_ap", "coco_ar", "coco_box_ap", "boundary_ap", "future3d_ap"),
    *("keypoint_ap", "lvis_ap_star", "proposal_recall", "proposal_box_recall"),
)
OF_CLASSES = [metric for metric in METRICS if not metric.startswith("proposal")]


FAULTS: dict[str, tuple[Change, str]] = {
    "an image id as text": (
        of("annotations", 1, image_id="1001"),
        r"annotations\[1\]: has image_id '1001'; write a whole number",
    ),
    "an image id with a point": (
        of("annotations", 1, image_id=1001.0),
        r"annotations\[1\]: has image_id 1001\.0; write a whole number",
    ),
    "an image that is not listed": (
        of("annotations", 1, image_id=77),
        r"annotations\[1\]: names image 77, which is not listed",
    ),
    "a list as an image id": (
        of("annotations", 1, image_id=[1]),
        r"annotations\[1\]: has image_id \[1\]",
    ),
    "iscrowd as text": (
        of("annotations", 1, iscrowd="0"),
        r"annotations\[1\]: has iscrowd '0'; write 0 or 1",
    ),
    "no box": (
        of("annotations", 1, bbox=None),
        r"annotations\[1\]: has bbox None; write four finite numbers",
    ),
    "half a box": (of("annotations", 1, bbox=[1, 2]), r"annotations\[1\]: has bbox \[1, 2\]"),
    "a box from the right": (
        of("annotations", 1, bbox=[9, 9, -4, 4]),
        r"annotations\[1\]: has bbox \[9, 9, -4, 4\]",
    ),
    "a height as text": (
        of("images", 1, height="48"),
        r"images\[1\]: height is '48'; write a whole number",
    ),
    "no height": (of("images", 1, height=0), r"images\[1\]: is 64 x 0 pixels"),
    "an endless height": (of("images", 1, height=10**12), r"images\[1\]: is 64 x 1000000000000"),
    "the id of an image as a list": (of("images", 1, id=[1]), r"images\[1\]: id is \[1\]"),
    "the id of an image twice": (
        lambda content: content["images"].append(content["images"][0]),
        r"images\[2\]: its id appears twice",
    ),
}
FAULTS_OF_CLASSES: dict[str, tuple[Change, str]] = {
    "a category that is not listed": (
        of("annotations", 1, category_id=99),
        r"annotations\[1\]: names category 99, which is not listed",
    ),
    "a category id as text": (
        of("annotations", 1, category_id="3"),
        r"annotations\[1\]: has category_id '3'; write a whole number",
    ),
    "the id of a category as text": (
        of("categories", 0, id="3"),
        r"categories\[0\]: id is '3'; write a whole number",
    ),
    "the id of a category twice": (
        lambda content: content["categories"].append(content["categories"][0]),
        r"categories\[3\]: its id appears twice; give each category its own",
    ),
}


@pytest.mark.parametrize(
    ("fault", "metric"),
    [*product(FAULTS, METRICS), *product(FAULTS_OF_CLASSES, OF_CLASSES)],
)
def test_the_fault_is_named(coco_builder: Builder, metric: str, fault: str) -> None:
    change, told = (FAULTS | FAULTS_OF_CLASSES)[fault]
    truth, found = changed_truth(coco_builder, change)
    with pytest.raises(UserError, match=rf"val2017\.json: {told}"):
        evaluate_predictions(metric, truth, found)


@pytest.mark.parametrize("value", [None, [[1]], ["3"], {}])
def test_lists_of_lvis_hold_ids(coco_builder: Builder, value: object) -> None:
    truth, found = changed_truth(coco_builder, of("images", 1, neg_category_ids=value))
    with pytest.raises(UserError, match=r"images\[1\]: neg_category_ids is .*; write the ids"):
        evaluate_predictions("lvis_ap_star", truth, found)


@pytest.mark.parametrize("metric", METRICS)
def test_what_official_files_have_is_scored(coco_builder: Builder, metric: str) -> None:
    """No iscrowd, as LVIS and 3D-FUTURE; an area of 0 and a box of no height, as COCO's train."""

    def change(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            entry.pop("iscrowd", None)
        content["annotations"][1] |= {"area": 0, "bbox": [1.5, 2, 3, 0.0]}

    truth, found = changed_truth(coco_builder, change)
    assert evaluate_predictions(metric, truth, found)


def test_official_files_are_scored(shared_data: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    found.write_text("[]")
    for file, metrics in {
        "coco_tiny/annotations/instances_train2017.json": ("coco_ap", "boundary_ap"),
        "coco_tiny/annotations/instances_val2017.json": ("coco_ap", "proposal_recall"),
        "coco_keypoints_tiny/annotations/person_keypoints_val2017.json": (
            *("coco_ap", "keypoint_ap"),
        ),
        "lvis/lvis_val_100.json": ("lvis_ap_star", "coco_ap"),
    }.items():
        for metric in metrics:
            values = evaluate_predictions(metric, shared_data / file, found)
            assert 0 in values.values(), (file, metric)
