"""keypoint_ap is pycocotools' number on whole files, for any K, and on samples of images."""

import contextlib
import copy
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.keypoints import COCO_PERSON, COCO_SIGMAS
from pointrend_repro.declarations.official_keys import COCO_KEYPOINT_KEYS
from pointrend_repro.evaluation import evaluate_predictions, instance_results, score
from pointrend_repro.evaluation.bootstrap import image_counts
from pointrend_repro.evaluation.scoring import ReadOnce

SIDE = 300
EMPTY = {"size": [SIDE, SIDE], "counts": "`lg2"}
PERSON = {"id": 1, "name": "person", "keypoints": list(COCO_PERSON), "skeleton": [[1, 2]]}
ARROW = {
    "id": 7,
    "name": "arrow",
    "keypoints": ["tip", "left_barb", "right_barb", "middle", "end"],
    "sigmas": [0.03, 0.2, 0.2, 0.05, 0.1],
}


def made_up_truth(category: dict[str, Any], rng: np.random.Generator, images: int) -> dict:
    """Objects of all three sizes; some crowds, some unlabelled, some without the keys."""
    count = len(category["keypoints"])
    annotations = []
    for image in range(1, images + 1):
        for _ in range(rng.integers(0, 5)):
            side = float(rng.choice([20, 60, 150]))
            x, y = rng.uniform(0, SIDE - side, 2)
            flags = rng.integers(0, 3, count) * (rng.random() < 0.85)
            is_crowd = int(rng.random() < 0.1)
            points = np.stack(
                [x + side * rng.random(count), y + side * rng.random(count), flags], axis=1
            )
            points[flags == 0 if not is_crowd else slice(None)] = 0
            entry = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": category["id"],
                "bbox": [x, y, side, side],
                "area": side * side * rng.uniform(0.3, 0.9),
                "iscrowd": is_crowd,
                "keypoints": points.ravel().tolist(),
                "num_keypoints": int((points[:, 2] > 0).sum()),
                "segmentation": [[x, y, x + side, y, x + side, y + side]],
            }
            annotations.append(entry)
    return {
        "images": [{"id": k, "height": SIDE, "width": SIDE} for k in range(1, images + 1)],
        "annotations": annotations,
        "categories": [category],
    }


def found_in(truth: dict, rng: np.random.Generator) -> list[dict]:
    """The labelled objects, moved more or less, some twice; more than 20 in the first image."""
    found = []
    for entry in truth["annotations"]:
        for _ in range(rng.integers(0, 4)):
            points = np.array(entry["keypoints"], dtype=float).reshape(-1, 3)
            points[:, :2] += rng.normal(0, rng.choice([0.5, 4, 15]), points[:, :2].shape)
            points[:, 2] = rng.random(len(points))
            found.append(result(entry["image_id"], entry["category_id"], points, rng))
    count = len(truth["categories"][0]["keypoints"])
    for _ in range(25):
        points = rng.uniform(0, SIDE, (count, 3))
        found.append(result(1, truth["categories"][0]["id"], points, rng))
    return found


def result(image: int, category: int, points: np.ndarray, rng: np.random.Generator) -> dict:
    return {
        "image_id": image,
        "category_id": category,
        "keypoints": points.ravel().tolist(),
        "score": round(float(rng.random()), 2),  # with ties
    }


def official(truth: dict, found: list[dict], sigmas: Sequence[float]) -> dict[str, float | None]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(found)), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    numbers = [None if number < 0 else 100 * number for number in evaluation.stats]
    return dict(zip(COCO_KEYPOINT_KEYS, numbers, strict=True))


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def scored(folder: Path, truth: dict, found: list[dict]) -> dict[str, float | None]:
    return evaluate_predictions(
        "keypoint_ap", write(folder / "t.json", truth), write(folder / "p.json", found)
    )


def test_sigmas_of_cocos_keypoints_are_pycocotools() -> None:
    assert np.array_equal(np.array(COCO_SIGMAS), Params("keypoints").kpt_oks_sigmas)


@pytest.mark.parametrize(
    ("category", "sigmas"), [(PERSON, COCO_SIGMAS), (ARROW, ARROW["sigmas"])], ids=["17", "5"]
)
@pytest.mark.parametrize("images_at_once", [1, 500])
def test_numbers_are_pycocotools_on_the_whole_files(
    category: dict,
    sigmas: Sequence[float],
    images_at_once: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instance_results, "_IMAGES_AT_ONCE", images_at_once)
    rng = np.random.default_rng(5)
    truth = made_up_truth(category, rng, images=9)
    found = found_in(truth, rng)
    expected = official(truth, found, sigmas)
    assert all(1 < number < 99 for number in expected.values())
    assert scored(tmp_path, truth, found) == expected


def test_more_in_the_files_changes_nothing(tmp_path: Path) -> None:
    """Boxes and masks of predictions, other categories, and keys that the tool needs."""
    rng = np.random.default_rng(6)
    truth = made_up_truth(PERSON, rng, images=6)
    found = found_in(truth, rng)
    expected = scored(tmp_path, truth, found)

    for entry in truth["annotations"]:
        del entry["num_keypoints"], entry["segmentation"]
        if not any(entry["keypoints"]):
            del entry["keypoints"]
        if not entry["iscrowd"]:
            del entry["iscrowd"]
    ball = {**truth["annotations"][0], "id": 1000, "category_id": 2}
    truth["annotations"].append({k: ball[k] for k in ("image_id", "category_id", "bbox", "area")})
    truth["categories"].append({"id": 2, "name": "ball"})
    for entry in found:
        entry |= {"bbox": [0, 0, 9999, 9999], "segmentation": EMPTY}
    found.append({**found[0], "category_id": 2, "score": 1.0})
    assert scored(tmp_path, truth, found) == expected


def test_ap_of_weighted_images_is_pycocotools_on_repeated_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    truth = made_up_truth(ARROW, rng, images=7)
    found = found_in(truth, rng)
    paths = write(tmp_path / "t.json", truth), write(tmp_path / "p.json", found)
    counts = image_counts("keypoint_ap", score("keypoint_ap", *paths, ReadOnce()))
    assert counts is not None
    assert counts.images == tuple("1234567")
    for weights in (np.ones(7, int), *rng.poisson(1, (4, 7))):
        sample, sampled = repeated(truth, found, weights)
        expected = official(sample, sampled, ARROW["sigmas"])["AP"]
        assert counts.score(weights)["AP"] == pytest.approx(expected, abs=1e-9)


def repeated(truth: dict, found: list[dict], weights: np.ndarray) -> tuple[dict, list[dict]]:
    images, annotations, sampled = [], [], []
    for image, weight in zip(truth["images"], weights, strict=True):
        for copy_number in range(weight):
            new = {"image_id": 1000 * image["id"] + copy_number}
            images.append({**image, "id": new["image_id"]})
            for entry in truth["annotations"]:
                if entry["image_id"] == image["id"]:
                    annotations.append({**entry, **new, "id": len(annotations) + 1})
            sampled += [{**e, **new} for e in found if e["image_id"] == image["id"]]
    return truth | {"images": images, "annotations": annotations}, sampled


def test_the_truth_predicts_itself_and_nothing_finds_nothing(tmp_path: Path) -> None:
    truth = made_up_truth(PERSON, np.random.default_rng(8), images=12)
    itself = [
        {k: e[k] for k in ("image_id", "category_id", "keypoints")} | {"score": 1}
        for e in truth["annotations"]
        if e["num_keypoints"] and not e["iscrowd"]
    ]
    perfect = scored(tmp_path, truth, itself)
    assert perfect == pytest.approx(dict.fromkeys(COCO_KEYPOINT_KEYS, 100))
    assert scored(tmp_path, truth, []) == dict.fromkeys(COCO_KEYPOINT_KEYS, 0)


def test_real_annotations_score_as_pycocotools_scores_them(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "coco_keypoints_tiny/annotations/person_keypoints_train2017.json"
    if not path.is_file():
        pytest.skip("coco_keypoints_tiny is not among the real test data")
    truth = json.loads(path.read_text())
    found = found_in(truth, np.random.default_rng(10))
    found = [entry for entry in found if entry["image_id"] != 1]  # which is not a real image
    expected = official(truth, found, COCO_SIGMAS)
    assert 1 < expected["AP"] < 99
    predictions = write(tmp_path / "p.json", found)
    assert evaluate_predictions("keypoint_ap", path, predictions) == expected


def of_found(**changed: Any) -> Any:
    return lambda truth, found: found[3].update(changed)


def of_category(**changed: Any) -> Any:
    return lambda truth, found: truth["categories"][0].update(changed)


def of_object(**changed: Any) -> Any:
    return lambda truth, found: truth["annotations"][2].update(changed)


WRONG = {
    "no keypoints": (
        lambda t, f: f[3].update(bbox=f[3].pop("keypoints")[:4]),
        r"prediction 3 .*'keypoints'.*keypoint_h",
    ),
    "other length": (of_found(keypoints=[1, 2, 3]), "has 1 keypoints, but the ground truth has 17"),
    "not in threes": (of_found(keypoints=[1, 2]), "prediction 3 .*list of finite .*three for each"),
    "not finite": (of_found(keypoints=[float("nan")] * 51), "prediction 3 .*list of finite numb"),
    "no score": (lambda t, f: f[3].pop("score"), "prediction 3 .*has no 'score'"),
    "image": (of_found(image_id=99), "prediction 3 .*image 99 is not in the ground truth"),
    "category": (of_found(category_id=9), "prediction 3 .*category 9 is not in the ground truth"),
    "no names": (of_category(keypoints=[]), "t.json: no category has keypoints; give annotations"),
    "others": (of_category(keypoints=["a"] * 17), "t.json: category 1: keypoint .a. appears twice"),
    "no sigmas": (
        of_category(keypoints=[f"k{n}" for n in range(17)]),
        r"t.json: category 'person' has no sigmas.* write \"sigmas\": \[0.05.* its 17 keypoints",
    ),
    "sigmas": (of_category(sigmas=[1]), "t.json: category 1: has 1 sigmas for 17 keypoints"),
    "flags": (of_object(num_keypoints=40), r"t.json: annotations\[2\] has num_keypoints 40, but"),
    "length": (of_object(keypoints=[1, 2]), r"t.json: annotations\[2\] has 2 numbers in keypoints"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_faulty_file_is_named_in_one_line(case: str, tmp_path: Path) -> None:
    change, message = WRONG[case]
    rng = np.random.default_rng(9)
    truth = made_up_truth(copy.deepcopy(PERSON), rng, images=4)
    found = found_in(truth, rng)
    change(truth, found)
    with pytest.raises(UserError, match=message) as raised:
        scored(tmp_path, truth, found)
    assert "\n" not in str(raised.value)
