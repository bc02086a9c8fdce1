"""Predictions whose masks are broken are refused: some would be compared for ever."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.evaluation.instance_results import index_results

WHOLE = "PP3"  # 3072 pixels


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (WHOLE + WHOLE, "has an RLE of 6144 pixels where the image has 3072; correct it"),
        ("PP2", "has an RLE of 2048 pixels where the image has 3072; correct it"),
        ("", "has an RLE of 0 pixels"),
        ("PP", "has a broken RLE .*ends inside a number"),
        ("zzz", "has a broken RLE .*not an RLE character: 'z'"),
        ("é", "has a broken RLE .*not an RLE character: 'é'"),
        ("o" * 40 + "0", "has an RLE of 160.* pixels where"),
    ],
)
@pytest.mark.parametrize("metric", ["coco_ap", "boundary_ap", "coco_box_ap", "proposal_recall"])
def test_a_broken_mask_is_named(
    coco_builder: Callable[..., Path], metric: str, counts: str, told: str
) -> None:
    truth = coco_builder() / "annotations/instances_val2017.json"
    image = json.loads(truth.read_text())["images"][0]["id"]
    entries = [
        {"image_id": image, "category_id": 3, "score": 0.5, "bbox": [0, 0, 9, 9]}
        | {"segmentation": {"size": [48, 64], "counts": each}}
        for each in (WHOLE, WHOLE, counts, WHOLE)
    ]
    found = truth.with_name("found.json")
    found.write_text(json.dumps(entries))
    with pytest.raises(UserError, match=rf"found\.json: prediction 2 \(from 0\): {told}") as caught:
        evaluate_predictions(metric, truth, found)
    assert len(str(caught.value)) < len(str(found)) + 150


@pytest.mark.parametrize("size", [[-48, -64], [0, 0], [48.0, 64.0]])
def test_sizes_are_whole_numbers_from_1(tmp_path: Path, size: list[float]) -> None:
    path = tmp_path / "found.json"
    mask = {"size": size, "counts": WHOLE}
    path.write_text(
        json.dumps([{"image_id": 1, "category_id": 1, "score": 1, "segmentation": mask}])
    )
    with pytest.raises(UserError, match=r"prediction 0 .*must be a compressed RLE"):
        index_results(path)
