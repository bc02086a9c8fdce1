import json
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.evaluation.coco_ap import coco_ap, score_coco_ap
from pointrend_repro.evaluation.scoring import ReadOnce

KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
SIDE = 8  # of the images of the hand-made cases


def rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def detection(image_id: int, category_id: int, mask: np.ndarray, score: float) -> dict[str, Any]:
    segmentation = rle(mask)
    return {
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": segmentation,
        "bbox": mask_utils.toBbox(segmentation).tolist(),
        "score": score,
    }


def truth_as_predictions(path: Path, shift: Callable[[], int] = lambda: 0) -> list[dict[str, Any]]:
    """Each object, not crowds, as its own prediction; `shift` moves its mask to the right."""
    coco = COCO(str(path))
    found = []
    for index, entry in enumerate(coco.dataset["annotations"]):
        if not entry["iscrowd"]:
            mask = np.roll(coco.annToMask(entry), shift(), axis=1)
            new = detection(entry["image_id"], entry["category_id"], mask, 1 - index / 10000)
            found.append({**new, "bbox": entry["bbox"]})
    return found


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.fixture
def truth(coco_builder: Callable[..., Path]) -> Path:
    return coco_builder() / "annotations/instances_val2017.json"


def test_truth_predicts_itself(truth: Path, tmp_path: Path) -> None:
    predictions = write(tmp_path / "p.json", truth_as_predictions(truth))
    scores = coco_ap(truth, predictions)
    # All objects are small: there is nothing to say about medium and large ones.
    assert scores.pop("APm") is None
    assert scores.pop("APl") is None
    assert scores == pytest.approx(dict.fromkeys(["AP", "AP50", "AP75", "APs", "AP_box"], 100))


def test_each_class_is_what_the_tool_says_of_it_alone(truth: Path, tmp_path: Path) -> None:
    found = truth_as_predictions(truth)
    for index, entry in enumerate(found):  # some worse than others
        entry["score"] = 1 - index / 10
        if index % 2:
            entry["category_id"] = found[0]["category_id"]
    predictions = write(tmp_path / "p.json", found)
    scored = score_coco_ap(truth, predictions, ReadOnce())
    coco = COCO(str(truth))
    for category in coco.dataset["categories"]:
        official = COCOeval(coco, coco.loadRes(found), "segm")
        official.params.catIds = [category["id"]]
        official.evaluate()
        official.accumulate()
        official.summarize()
        wanted = None if official.stats[0] < 0 else pytest.approx(100 * official.stats[0])
        assert scored.by_class[category["name"]] == wanted
    known = [value for value in scored.by_class.values() if value is not None]
    assert scored.values["AP"] == pytest.approx(sum(known) / len(known))
    assert len(set(known)) > 1


def test_classes_have_the_finer_of_3d_futures_names(truth: Path, tmp_path: Path) -> None:
    content = json.loads(truth.read_text())
    for entry in content["categories"]:
        entry |= {"fine-grained category name": entry.pop("name"), "category_name": "shape"}
    theirs = write(tmp_path / "theirs.json", content)
    predictions = write(tmp_path / "p.json", truth_as_predictions(truth))
    expected = score_coco_ap(truth, predictions, ReadOnce()).by_class
    assert score_coco_ap(theirs, predictions, ReadOnce()).by_class == expected


def test_classes_of_one_name_are_told_apart_by_their_ids(truth: Path, tmp_path: Path) -> None:
    content = json.loads(truth.read_text())
    ids = [entry["id"] for entry in content["categories"]]
    for entry in content["categories"][:2]:
        entry["name"] = "cell"
    theirs = write(tmp_path / "theirs.json", content)
    predictions = write(tmp_path / "p.json", truth_as_predictions(truth))
    found = score_coco_ap(theirs, predictions, ReadOnce()).by_class
    expected = score_coco_ap(truth, predictions, ReadOnce()).by_class
    assert list(found.values()) == list(expected.values())
    assert list(found)[:2] == [f"cell ({number})" for number in sorted(ids[:2])]


def test_dispatch_by_name(truth: Path, tmp_path: Path) -> None:
    predictions = write(tmp_path / "p.json", truth_as_predictions(truth)[:3])
    by_name = evaluate_predictions("coco_ap", str(truth), str(predictions))
    assert by_name == coco_ap(truth, predictions)
    with pytest.raises(UserError, match=r"no metric .ap.; there are: .*coco_ap"):
        evaluate_predictions("ap", truth, predictions)


def test_object_with_id_zero_can_be_found(
    coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    def number_from_zero(document: dict[str, Any]) -> None:
        for index, entry in enumerate(document["annotations"]):
            entry["id"] = index

    truth = coco_builder(mutate=number_from_zero) / "annotations/instances_val2017.json"
    predictions = write(tmp_path / "p.json", truth_as_predictions(truth))
    assert coco_ap(truth, predictions)["AP"] == pytest.approx(100)


def test_no_predictions_score_zero(truth: Path, tmp_path: Path) -> None:
    scores = coco_ap(truth, write(tmp_path / "p.json", []))
    assert (scores["AP"], scores["APs"], scores["AP_box"]) == (0, 0, 0)
    assert scores["APl"] is None


def test_predictions_without_boxes_have_no_box_ap(truth: Path, tmp_path: Path) -> None:
    found = truth_as_predictions(truth)
    for entry in found:
        del entry["bbox"]
    scores = coco_ap(truth, write(tmp_path / "p.json", found))
    assert scores["AP"] == pytest.approx(100)
    assert scores["AP_box"] is None


def test_boxes_do_not_sway_mask_ap(truth: Path, tmp_path: Path) -> None:
    found = truth_as_predictions(truth)
    noise = detection(1001, 3, np.eye(48, 64, dtype=bool), 2.0)
    plain = coco_ap(truth, write(tmp_path / "a.json", [*found, noise]))
    for entry in (*found, noise):
        entry["bbox"] = [0, 0, 5000, 5000]
    wild = coco_ap(truth, write(tmp_path / "b.json", [*found, noise]))
    assert {key: wild[key] for key in KEYS} == {key: plain[key] for key in KEYS}
    assert plain["APs"] < 100
    assert wild["AP_box"] == 0


def test_nothing_is_printed(
    truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = write(tmp_path / "p.json", truth_as_predictions(truth))
    capsys.readouterr()
    coco_ap(truth, predictions)
    assert capsys.readouterr() == ("", "")


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Real ground truth, and its objects moved by up to 6 pixels, with random scores."""
    path = shared_data / "coco_tiny/annotations/instances_val2017.json"
    rng = random.Random(0)
    found = truth_as_predictions(path, lambda: rng.randint(0, 6))
    for entry, score in zip(found, rng.sample(range(1000), len(found)), strict=True):
        entry["score"] = score / 1000
    return path, found[::2] + found[1:80:4]


def test_real_data_scores_as_by_hand(
    real: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    path, found = real
    coco = COCO(str(path))
    by_hand = {}
    for iou_type, other in (("segm", "bbox"), ("bbox", "segmentation")):
        entries = [{key: entry[key] for key in entry if key != other} for entry in found]
        results = coco.loadRes(str(write(tmp_path / f"{iou_type}.json", entries)))
        evaluation = COCOeval(coco, results, iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        by_hand[iou_type] = 100 * evaluation.stats[:6]
    scores = coco_ap(path, write(tmp_path / "p.json", found))
    assert [scores[key] for key in KEYS] == by_hand["segm"].tolist()
    assert scores["AP_box"] == by_hand["bbox"][0]
    assert 5 < scores["AP"] < 80


def test_order_of_predictions_does_not_matter(
    real: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    path, found = real
    shuffled = random.Random(1).sample(found, len(found))
    assert shuffled != found
    scores = coco_ap(path, write(tmp_path / "a.json", found))
    assert coco_ap(path, write(tmp_path / "b.json", shuffled)) == scores


RECTANGLES = st.tuples(*[st.integers(0, SIDE - 1)] * 2, *[st.integers(1, SIDE)] * 2)
OBJECTS = st.lists(st.tuples(st.integers(1, 2), RECTANGLES), min_size=1, max_size=4)


def rectangle(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def average_precision(
    truth: list[tuple[int, np.ndarray]], found: list[tuple[int, np.ndarray]], threshold: float
) -> float:
    """AP of one class at one IoU; `found` is sorted, best first. Slow and obvious."""
    taken, hits = set(), []
    for image_id, mask in found:
        best, best_iou = None, threshold
        for index, (true_image, true_mask) in enumerate(truth):
            if true_image != image_id or index in taken:
                continue
            iou = (mask & true_mask).sum() / (mask | true_mask).sum()
            if iou >= best_iou:  # of equals, COCO takes the last
                best, best_iou = index, iou
        hits.append(best is not None)
        taken.add(best)
    points = [
        (sum(hits[:count]) / len(truth), sum(hits[:count]) / count)
        for count in range(1, len(hits) + 1)
    ]
    levels = np.linspace(0, 1, 101)
    best_from = [max((p for r, p in points if r >= level), default=0) for level in levels]
    return float(np.mean(best_from))


@settings(max_examples=80, deadline=None)
@given(truth=OBJECTS, found=OBJECTS)
def test_equals_a_slow_implementation(
    truth: list[tuple[int, Any]], found: list[tuple[int, Any]]
) -> None:
    true_masks = [(image_id, rectangle(*box)) for image_id, box in truth]
    found_masks = [(image_id, rectangle(*box)) for image_id, box in found]
    annotations = [
        {
            "id": index,
            "image_id": image_id,
            "category_id": 5,
            "segmentation": rle(mask),
            "bbox": mask_utils.toBbox(rle(mask)).tolist(),
            "area": int(mask.sum()),
        }
        for index, (image_id, mask) in enumerate(true_masks)
    ]
    images = [{"id": image_id, "height": SIDE, "width": SIDE} for image_id in (1, 2)]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 5}]}
    predictions = [detection(i, 5, mask, -k) for k, (i, mask) in enumerate(found_masks)]
    with TemporaryDirectory() as folder:
        scores = coco_ap(
            write(Path(folder) / "truth.json", document),
            write(Path(folder) / "found.json", predictions),
        )
    each = [average_precision(true_masks, found_masks, t) for t in np.linspace(0.5, 0.95, 10)]
    assert scores["AP"] == pytest.approx(100 * np.mean(each))
    assert scores["AP50"] == pytest.approx(100 * each[0])
    assert scores["AP75"] == pytest.approx(100 * each[5])
    assert scores["APs"] == scores["AP"]


BAD_PREDICTIONS = {
    "no object": (lambda p: p.insert(0, 3), r"prediction 0 \(from 0\): has no 'image_id'"),
    "no score": (lambda p: p[1].pop("score"), r"prediction 1 \(from 0\): has no 'score'; add it"),
    "no mask": (lambda p: p[1].pop("segmentation"), "prediction 1 .* has no 'segmentation'"),
    "NaN score": (lambda p: p[1].update(score=float("nan")), "prediction 1 .*score is nan"),
    "infinite score": (lambda p: p[1].update(score=float("inf")), "prediction 1 .*score is inf"),
    "score of text": (lambda p: p[1].update(score="1"), "prediction 1 .*score is '1'"),
    "image id of text": (lambda p: p[1].update(image_id="1"), "prediction 1 .*image_id is '1'"),
    "unknown image": (lambda p: p[1].update(image_id=9), "prediction 1 .*image 9 is not in"),
    "unknown category": (lambda p: p[1].update(category_id=0), "prediction 1 .*category 0 is not"),
    "another size": (
        lambda p: p[1].update(segmentation=rle(np.ones((64, 48), bool))),
        r"prediction 1 .*RLE of size \[64, 48\], but image 1001 is \[48, 64\]",
    ),
    "polygons": (
        lambda p: p[1].update(segmentation=[[1, 1, 2, 1, 2, 2]]),
        "prediction 1 .*must be a compressed RLE",
    ),
    "uncompressed RLE": (
        lambda p: p[1].update(segmentation={"size": [48, 64], "counts": [3072]}),
        "prediction 1 .*must be a compressed RLE",
    ),
    "short box": (lambda p: p[1].update(bbox=[1, 2, 3]), r"prediction 1 .*bbox is \[1, 2, 3\]"),
}


@pytest.mark.parametrize(
    ("mutate", "message"), BAD_PREDICTIONS.values(), ids=BAD_PREDICTIONS.keys()
)
def test_bad_prediction_is_refused_in_one_line(
    truth: Path, tmp_path: Path, mutate: Callable[[list[Any]], object], message: str
) -> None:
    found = truth_as_predictions(truth)
    mutate(found)
    predictions = write(tmp_path / "p.json", found)
    with pytest.raises(UserError, match=message) as caught:
        coco_ap(truth, predictions)
    assert str(caught.value).startswith(f"{predictions}: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_something_else_are_refused(truth: Path, tmp_path: Path) -> None:
    empty = write(tmp_path / "p.json", [])
    with pytest.raises(UserError, match="must be a list of predictions"):
        coco_ap(truth, truth)
    with pytest.raises(UserError, match=r"p\.json: has no list 'images'"):
        coco_ap(empty, empty)
    with pytest.raises(UserError, match=r"gone\.json: no such file"):
        coco_ap(truth, tmp_path / "gone.json")


def test_truth_without_areas_is_refused(coco_builder: Callable[..., Path], tmp_path: Path) -> None:
    root = coco_builder(mutate=lambda document: document["annotations"][4].pop("area"))
    with pytest.raises(UserError, match=r"annotations\[4\]: has no 'area'"):
        coco_ap(root / "annotations/instances_val2017.json", write(tmp_path / "p.json", []))
