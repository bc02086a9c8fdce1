"""COCO's average recall, class by class, is pycocotools'."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation import evaluate_predictions, score
from pointrend_repro.evaluation.scoring import ReadOnce

HEIGHT, WIDTH = 100, 150
Entry = dict[str, Any]


def rle_of(x: float, y: float, width: float, height: float) -> Entry:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[int(max(y, 0)) : int(y + height) + 1, int(max(x, 0)) : int(x + width) + 1] = 1
    rle = mask_utils.encode(np.asfortranarray(mask))
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recalls")
    rng = np.random.default_rng(1)
    truth: list[Entry] = []
    found: list[Entry] = []
    for image in range(1, 5):
        for _ in range(12):
            place = rng.uniform([0, 0, 5, 5], [90, 50, 60, 50])
            own = {"image_id": image, "category_id": int(rng.integers(1, 4))}
            mask = rle_of(*place)
            measured = {
                "area": float(mask_utils.area(mask)), "bbox": mask_utils.toBbox(mask).tolist(),
            }  # fmt: skip
            truth.append({**own, **measured, "id": len(truth) + 1, "segmentation": mask})
            for _ in range(3):
                moved = rle_of(*(place + rng.normal(0, 3, 4)))
                box = mask_utils.toBbox(moved).tolist()
                found.append(
                    {**own, "score": float(rng.random()), "segmentation": moved, "bbox": box}
                )
    images = [{"id": n, "height": HEIGHT, "width": WIDTH} for n in range(1, 5)]
    content = {
        "images": images, "annotations": [t | {"iscrowd": 0} for t in truth],
        "categories": [{"id": n} for n in (1, 2, 3)],
    }  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(found))
    boxes = [{k: e[k] for k in e if k != "segmentation"} for e in found]
    (folder / "boxes.json").write_text(json.dumps(boxes))
    masks = [{k: e[k] for k in e if k != "bbox"} for e in found]
    (folder / "masks.json").write_text(json.dumps(masks))
    return folder


@pytest.mark.parametrize(
    ("metric", "kind", "name"), [("coco_ar", "segm", "masks"), ("coco_box_ar", "bbox", "boxes")]
)
def test_numbers_are_the_official_tools(files: Path, metric: str, kind: str, name: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(files / "truth.json"))
        found = truth.loadRes(str(files / f"{name}.json"))
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = evaluate_predictions(metric, files / "truth.json", files / "found.json")
    assert list(values) == ["AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    expected = [None if v < 0 else 100 * v for v in evaluation.stats[6:]]
    assert list(values.values()) == expected
    assert evaluate_predictions(metric, files / "truth.json", files / f"{name}.json") == values


def test_all_metrics_of_a_prediction_agree_with_each_alone(files: Path) -> None:
    metrics = ["coco_ap", "coco_ar", "coco_box_ap", "coco_box_ar"]
    once = ReadOnce(metrics)
    for metric in metrics:
        together = score(metric, files / "truth.json", files / "found.json", once).values
        alone = evaluate_predictions(metric, files / "truth.json", files / "found.json")
        assert together == alone, metric


def test_what_is_not_there_is_not_scored(files: Path) -> None:
    with pytest.raises(UserError, match="has no 'segmentation'"):
        evaluate_predictions("coco_ar", files / "truth.json", files / "boxes.json")
    for metric in ("coco_box_ar", "detector_box_recall"):
        with pytest.raises(UserError, match="not all predictions have a 'bbox'"):
            evaluate_predictions(metric, files / "truth.json", files / "masks.json")


def test_a_detectors_boxes_as_proposals(files: Path, tmp_path: Path) -> None:
    """Its own boxes count, whatever its masks and classes are."""
    narrow = tmp_path / "narrow.json"  # masks of half their box
    found = json.loads((files / "found.json").read_text())
    for entry in found:
        x, y, width, height = entry["bbox"]
        entry["segmentation"] = rle_of(x, y, width // 2, height)
    narrow.write_text(json.dumps(found))
    boxes = evaluate_predictions("proposal_recall", files / "truth.json", files / "boxes.json")
    assert 0 < boxes["AR@10"] <= boxes["AR@1000"] < 100
    for name in (files / "found.json", narrow):
        assert evaluate_predictions("detector_box_recall", files / "truth.json", name) == boxes
    metrics = ["proposal_recall", "proposal_box_recall", "detector_box_recall"]
    once = ReadOnce(metrics)
    together = {m: score(m, files / "truth.json", narrow, once).values for m in metrics}
    assert together["detector_box_recall"] == boxes
    for metric in metrics:
        alone = evaluate_predictions(metric, files / "truth.json", narrow)
        assert together[metric] == alone
        assert metric == "detector_box_recall" or alone != boxes
