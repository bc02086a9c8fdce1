"""COCO's AP of boxes, against pycocotools by hand, with and without masks in the predictions."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from test_coco_ap import KEYS, truth_as_predictions, write

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation import coco_ap as scoring
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.evaluation.coco_box_ap import coco_box_ap
from pointrend_repro.evaluation.instance_results import index_results
from pointrend_repro.evaluation.scoring import ReadOnce
from pointrend_repro.pipeline.steps.evaluation import run_evaluations

Entries = list[dict[str, Any]]


@pytest.fixture
def truth(coco_builder: Callable[..., Path]) -> Path:
    return coco_builder() / "annotations/instances_val2017.json"


def boxes_only(found: Entries) -> Entries:
    return [{k: v for k, v in entry.items() if k != "segmentation"} for entry in found]


def moved(path: Path, most_px: int = 6) -> Entries:
    """A file's objects with boxes moved and resized at random, some twice, some not at all."""
    rng = random.Random(0)
    found = truth_as_predictions(path)
    for entry in found:
        x, y, w, h = entry["bbox"]
        entry["bbox"] = [x + rng.uniform(0, most_px), y, w * rng.uniform(0.8, 1.3), h]
        entry["score"] = rng.random()
    return found[::2] + found[1:80:4]


def by_hand(truth: Path, found: Entries, folder: Path) -> list[float]:
    coco = COCO(str(truth))
    results = coco.loadRes(str(write(folder / "by_hand.json", found)))
    evaluation = COCOeval(coco, results, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [100 * float(v) for v in evaluation.stats[:6]]


@pytest.mark.parametrize("masks", [True, False])
def test_real_data_scores_as_by_hand(shared_data: Path, tmp_path: Path, *, masks: bool) -> None:
    truth = shared_data / "coco_tiny/annotations/instances_val2017.json"
    found = moved(truth)
    expected = by_hand(truth, found, tmp_path)
    predictions = write(tmp_path / "p.json", found if masks else boxes_only(found))
    scores = evaluate_predictions("coco_box_ap", truth, predictions)
    assert list(scores) == list(KEYS)
    assert list(scores.values()) == expected
    assert 5 < expected[0] < 80


def test_it_is_the_box_ap_that_coco_ap_tells(truth: Path, tmp_path: Path) -> None:
    predictions = write(tmp_path / "p.json", moved(truth, most_px=3))
    whole = coco_box_ap(truth, predictions)
    assert whole["AP"] == scoring.coco_ap(truth, predictions)["AP_box"]
    assert 0 < whole["AP"] < 100
    assert whole["APl"] is None  # there is no large object
    nothing = coco_box_ap(truth, write(tmp_path / "none.json", []))
    assert (nothing["AP"], nothing["APl"]) == (0, None)


@pytest.mark.parametrize("masks", [True, False])
def test_both_metrics_of_a_prediction_match_boxes_once_and_resample(
    truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, masks: bool
) -> None:
    found = moved(truth, most_px=3)
    predictions = write(tmp_path / "found.json", found if masks else boxes_only(found))
    predictions.with_suffix(".origin.json").write_text('{"preset": "p"}')
    compared: list[str] = []
    original = COCOeval.evaluate

    def counted(evaluation: COCOeval) -> None:
        compared.append(evaluation.params.iouType)
        original(evaluation)

    monkeypatch.setattr(COCOeval, "evaluate", counted)
    metrics = {"coco_box_ap": truth} | ({"coco_ap": truth} if masks else {})
    run_evaluations(metrics, predictions, folder=tmp_path / "scores", resamples=3)
    assert sorted(compared) == (["bbox", "segm"] if masks else ["bbox"])
    written = json.loads((tmp_path / "scores/coco_box_ap.json").read_text())
    assert list(written["values"]) == list(KEYS)
    assert len(written["resampled"]["values"]["AP"]) == 3


@pytest.mark.parametrize("metric", ["coco_ap", "boundary_ap", "lvis_ap_star", "cityscapes_ap"])
def test_metrics_of_masks_refuse_boxes_in_one_line(
    metric: str, truth: Path, tmp_path: Path
) -> None:
    found = truth_as_predictions(truth)
    del found[2]["segmentation"]
    predictions = write(tmp_path / "p.json", found)
    if metric == "lvis_ap_star":
        content = json.loads(truth.read_text())
        for image in content["images"]:
            image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        for category in content["categories"]:
            category |= {"synset": "person.n.01", "frequency": "f"}
        truth = write(tmp_path / "lvis.json", content)
    if metric == "cityscapes_ap":
        from pointrend_repro.evaluation.cityscapes_predictions import coco_reader

        def score() -> object:
            return coco_reader(predictions, {})
    else:

        def score() -> object:
            return evaluate_predictions(metric, truth, predictions)

    with pytest.raises(
        UserError, match=r"prediction 2 \(from 0\): has no 'segm.* coco_box_ap"
    ) as e:
        score()
    assert "\n" not in str(e.value)


BAD = {
    "neither": (lambda p: p[1].pop("bbox"), r"prediction 1 .*has no 'segmentation'; add it, or a"),
    "short box": (lambda p: p[1].update(bbox=[1, 2, 3]), r"prediction 1 .*bbox is \[1, 2, 3\]"),
    "NaN": (lambda p: p[1].update(bbox=[1, 2, 3, float("nan")]), "prediction 1 .*bbox is "),
    "image": (lambda p: p[1].update(image_id=9), "prediction 1 .*image 9 is not in"),
    "class": (lambda p: p[1].update(category_id=0), "prediction 1 .*category 0 is not"),
}


@pytest.mark.parametrize(("mutate", "message"), BAD.values(), ids=BAD.keys())
def test_bad_boxes_are_refused_in_one_line(
    truth: Path, tmp_path: Path, mutate: Callable[[Entries], object], message: str
) -> None:
    found = boxes_only(truth_as_predictions(truth))
    mutate(found)
    with pytest.raises(UserError, match=message):
        coco_box_ap(truth, write(tmp_path / "p.json", found))


def test_masks_without_boxes_are_refused(truth: Path, tmp_path: Path) -> None:
    found = truth_as_predictions(truth)
    del found[1]["bbox"]
    predictions = write(tmp_path / "p.json", found)
    with pytest.raises(UserError, match=r"p\.json: not all predictions have a 'bbox'"):
        coco_box_ap(truth, predictions)


def test_a_truth_without_masks_is_enough(coco_builder: Callable[..., Path], tmp_path: Path) -> None:
    def drop(document: dict[str, Any]) -> None:
        for entry in document["annotations"]:
            del entry["segmentation"]

    whole = coco_builder(root=tmp_path / "a") / "annotations/instances_val2017.json"
    predictions = write(tmp_path / "p.json", boxes_only(moved(whole, most_px=3)))
    root = coco_builder(root=tmp_path / "b", mutate=drop)
    boxes = root / "annotations/instances_val2017.json"
    assert coco_box_ap(boxes, predictions) == coco_box_ap(whole, predictions)
    with pytest.raises(UserError, match=r"annotations\[0\]: has no 'segmentation'"):
        scoring.coco_ap(boxes, write(tmp_path / "m.json", truth_as_predictions(whole)))


def test_entries_with_and_without_masks_are_told_apart(truth: Path, tmp_path: Path) -> None:
    found = truth_as_predictions(truth)
    assert ReadOnce()(index_results, write(tmp_path / "a.json", found)).has_masks
    del found[-1]["segmentation"]
    assert not index_results(write(tmp_path / "b.json", found)).has_masks
