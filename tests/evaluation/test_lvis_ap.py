import copy
import json
import logging
import random
from pathlib import Path
from typing import Any

import lvis
import lvis.eval
import numpy as np
import pycocotools.mask as mask_utils
import pytest

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.evaluation.instance_truth import Truth
from pointrend_repro.evaluation.lvis_ap import cocofy, lvis_ap_star

SIDE = 20
PERSON, CAT, DOG, BEAR = 1, 17, 18, 23  # COCO's ids
KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")

Document = dict[str, Any]


def rectangle(x: int, y: int, width: int = 5, height: int = 5) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[y : y + height, x : x + width] = 1
    return mask


def rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = mask_utils.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def detection(image_id: int, category_id: int, mask: np.ndarray, score: float) -> Document:
    return {
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": rle(mask),
        "bbox": mask_utils.toBbox(rle(mask)).tolist(),
        "score": score,
    }


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.fixture
def small() -> Document:
    """Two images with LVIS ids: image 1 has a person, a dog and an acorn, 2 has a cat.

    In image 1, cats and bears are verified as absent. In image 2, dogs are, cats are not
    exhaustively annotated, and nothing is known about persons and bears. Sheep are named nowhere;
    acorns are not in COCO.
    """
    synsets = {
        10: ("acorn.n.01", "r"),
        20: ("person.n.01", "f"),
        30: ("cat.n.01", "c"),
        40: ("dog.n.01", "r"),
        50: ("bear.n.01", "f"),
        60: ("sheep.n.01", "f"),
    }

    def image(image_id: int, negative: list[int], not_exhaustive: list[int]) -> Document:
        return {
            "id": image_id,
            "height": SIDE,
            "width": SIDE,
            "neg_category_ids": negative,
            "not_exhaustive_category_ids": not_exhaustive,
        }

    def annotation(number: int, image_id: int, category_id: int, x: int) -> Document:
        polygon = [x, 2, x + 5, 2, x + 5, 7, x, 7]
        return {
            "id": number,
            "image_id": image_id,
            "category_id": category_id,
            "segmentation": [polygon],
            "bbox": [x, 2, 5, 5],
            "area": 25,
        }

    return {
        "images": [image(1, [30, 50], []), image(2, [40, 10], [30])],
        "annotations": [
            annotation(0, 1, 20, 2),
            annotation(1, 1, 10, 9),
            annotation(2, 1, 40, 12),
            annotation(3, 2, 30, 2),
        ],
        "categories": [
            {"id": key, "synset": synset, "frequency": frequency}
            for key, (synset, frequency) in synsets.items()
        ],
    }


# Every object of COCO's classes in `small`, found exactly.
PERFECT = [
    detection(1, PERSON, rectangle(2, 2), 0.5),
    detection(1, DOG, rectangle(12, 2), 0.4),
    detection(2, CAT, rectangle(2, 2), 0.3),
]


@pytest.fixture
def score(small: Document, tmp_path: Path):
    """A function that scores predictions on `small`."""
    truth = write(tmp_path / "lvis.json", small)

    def run(predictions: list[Document]) -> dict[str, float | None]:
        return lvis_ap_star(truth, write(tmp_path / "p.json", predictions))

    return run


def test_cut_down_to_coco(small: Document) -> None:
    before = copy.deepcopy(small)
    cut = Truth(*cocofy(small)).of_images([image["id"] for image in small["images"]])
    assert small == before
    assert [image["neg_category_ids"] for image in cut["images"]] == [[CAT, BEAR], [DOG]]
    assert [image["not_exhaustive_category_ids"] for image in cut["images"]] == [[], [CAT]]
    assert [entry["category_id"] for entry in cut["annotations"]] == [PERSON, DOG, CAT]
    assert len({entry["id"] for entry in cut["annotations"]} - {0}) == 3  # 0 is "no match"
    # Acorns are not COCO's; of sheep nothing is known in any image.
    assert [category["id"] for category in cut["categories"]] == [PERSON, CAT, DOG, BEAR]


def test_perfect_predictions(score: Any) -> None:
    scores = score(PERFECT)
    assert tuple(scores) == KEYS
    assert scores.pop("APm") is None
    assert scores.pop("APl") is None
    assert list(scores.values()) == pytest.approx([100] * 7)


def test_dispatch_by_name(small: Document, tmp_path: Path) -> None:
    truth, found = write(tmp_path / "t.json", small), write(tmp_path / "p.json", PERFECT[:2])
    scores = evaluate_predictions("lvis_ap_star", truth, found)
    assert scores["AP"] == pytest.approx(200 / 3)
    assert scores["APc"] == 0


def test_false_positive_where_nothing_is_known_is_free(score: Any) -> None:
    unknown = detection(2, PERSON, rectangle(12, 12), 0.99)
    assert score([*PERFECT, unknown]) == score(PERFECT)


def test_false_positive_where_verified_as_absent_costs(score: Any) -> None:
    absent = detection(2, DOG, rectangle(12, 12), 0.99)
    # Before the one dog found stands one mistake: precision 1/2 at every recall.
    assert score([*PERFECT, absent])["APr"] == pytest.approx(50)


def test_false_positive_where_annotated_costs(score: Any) -> None:
    wrong = detection(1, PERSON, rectangle(12, 12), 0.99)
    assert score([*PERFECT, wrong])["APf"] == pytest.approx(50)


def test_unmatched_where_not_exhaustive_is_free(
    score: Any, small: Document, tmp_path: Path
) -> None:
    extra = detection(2, CAT, rectangle(12, 12), 0.99)
    assert score([*PERFECT, extra]) == score(PERFECT)
    small["images"][1]["not_exhaustive_category_ids"] = []
    truth = write(tmp_path / "exhaustive.json", small)
    found = write(tmp_path / "p.json", [*PERFECT, extra])
    assert lvis_ap_star(truth, found)["APc"] == pytest.approx(50)


def test_300_detections_an_image_count(score: Any) -> None:
    wrong = [detection(1, PERSON, rectangle(12, 12), 1 + i) for i in range(300)]
    assert score([*wrong[:299], PERFECT[0]])["APf"] == pytest.approx(100 / 300)
    assert score([*wrong, PERFECT[0]])["APf"] == 0


def test_category_that_lvis_does_not_annotate_is_left_out(score: Any) -> None:
    assert score([*PERFECT, detection(2, BEAR, rectangle(2, 2), 0.99)]) == score(PERFECT)
    # Toasters are COCO's, but not among the categories of this LVIS file.
    assert score([*PERFECT, detection(1, 80, rectangle(2, 2), 0.99)]) == score(PERFECT)


def test_boxes_do_not_sway_mask_ap(score: Any) -> None:
    # By its mask the wrong one is small, and so counts in APs; by its box it would not.
    found = [*PERFECT, detection(2, DOG, rectangle(12, 12), 0.99)]
    wild = [{**entry, "bbox": [0, 0, 5000, 5000]} for entry in found]
    assert score(wild) == score(found)
    assert score(found)["APs"] < 100


def test_no_predictions_score_zero(score: Any) -> None:
    scores = score([])
    assert [scores[key] for key in ("AP", "AP50", "APs", "APr", "APc", "APf")] == [0] * 6
    assert scores["APl"] is None


def test_predictions_in_other_images_are_left_out_aloud(
    score: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other = {**detection(7, DOG, rectangle(2, 2), 0.99)}
    with caplog.at_level(logging.WARNING):
        assert score([other, *PERFECT]) == score(PERFECT)
    assert "left out 1 of 4 predictions" in caplog.text
    with pytest.raises(UserError, match="no image in common"):
        score([other])


def test_bad_files_are_refused(score: Any, small: Document, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"prediction 3 \(from 0\): category 500 is not in"):
        score([*PERFECT, detection(1, 500, rectangle(2, 2), 0.9)])
    big = {**PERFECT[0], "segmentation": {"size": [SIDE, SIDE + 1], "counts": "T="}}
    other = detection(7, DOG, rectangle(2, 2), 0.9)
    with pytest.raises(UserError, match=r"prediction 1 \(from 0\): RLE of size \[20, 21\]"):
        score([other, big])
    empty = write(tmp_path / "p.json", [])
    none = {**small, "images": [], "annotations": []}
    with pytest.raises(UserError, match="lists no images"):
        lvis_ap_star(write(tmp_path / "t.json", none), empty)
    del small["categories"][0]["synset"]
    with pytest.raises(UserError, match=r"t\.json: categories\[0\]: has no 'synset'"):
        lvis_ap_star(write(tmp_path / "t.json", small), empty)


def test_numpy_stays_as_it_was(score: Any) -> None:
    score(PERFECT)
    assert not hasattr(np, "float")
    assert lvis.eval.np is np


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[Path, Document]:
    """LVIS v0.5 on 100 images, and the same cut down to COCO, made here in another way."""
    path = shared_data / "lvis/lvis_val_100.json"
    document = json.loads(path.read_text())
    table = json.loads((shared_data / "lvis/coco_to_synset.json").read_text()).values()
    by_synset = {row["synset"]: row["coco_cat_id"] for row in table}
    to_coco = {c["id"]: by_synset.get(c["synset"]) for c in document["categories"]}
    keys = ("neg_category_ids", "not_exhaustive_category_ids")
    for entry in (*document["annotations"], *document["categories"]):
        key = "category_id" if "category_id" in entry else "id"
        entry[key] = to_coco[entry[key]]
    for image in document["images"]:
        for key in keys:
            image[key] = [to_coco[i] for i in image[key] if to_coco[i] is not None]
    annotations = [a for a in document["annotations"] if a["category_id"] is not None]
    seen = {a["category_id"] for a in annotations}
    seen.update(i for image in document["images"] for key in keys for i in image[key])
    categories = [c for c in document["categories"] if c["id"] in seen]
    return path, {**document, "annotations": annotations, "categories": categories}


def truth_as_predictions(truth: Document, shift: int) -> list[Document]:
    """Each object as its own prediction, moved to the right by 0 to `shift` pixels."""
    rng = random.Random(0)
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    found = []
    for index, entry in enumerate(truth["annotations"]):
        polygons = mask_utils.frPyObjects(entry["segmentation"], *sizes[entry["image_id"]])
        mask = mask_utils.decode(mask_utils.merge(polygons))
        mask = np.roll(mask, rng.randint(0, shift), axis=1)
        found.append(detection(entry["image_id"], entry["category_id"], mask, 1 - index / 1000))
    return found


def test_real_truth_predicts_itself(real: tuple[Path, Document], tmp_path: Path) -> None:
    path, by_hand = real
    found = truth_as_predictions(by_hand, 0)
    assert len(found) == 435
    scores = lvis_ap_star(path, write(tmp_path / "p.json", found))
    # All of COCO's categories are frequent in LVIS.
    assert (scores.pop("APr"), scores.pop("APc")) == (None, None)
    assert scores == pytest.approx(dict.fromkeys(scores, 100))


def test_real_data_scores_as_by_hand(
    real: tuple[Path, Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, by_hand = real
    found = truth_as_predictions(by_hand, 8)
    spare = truth_as_predictions(by_hand, 0)
    for entry, other in zip(spare, reversed(spare), strict=True):
        entry.update(score=entry["score"] / 2, category_id=other["category_id"])
    found += spare
    plain = [{key: entry[key] for key in entry if key != "bbox"} for entry in found]
    with monkeypatch.context() as patch:
        patch.setattr(np, "float", float, raising=False)
        truth_file = write(tmp_path / "cocofied.json", by_hand)
        evaluation = lvis.LVISEval(
            str(truth_file), str(write(tmp_path / "plain.json", plain)), "segm"
        )
        evaluation.run()
    expected = {key: 100 * evaluation.results[key] for key in KEYS}
    scores = lvis_ap_star(path, write(tmp_path / "p.json", found))
    assert scores == {key: None if value < 0 else value for key, value in expected.items()}
    assert 5 < scores["AP"] < 80


def test_few_of_the_images_predicted_are_told(
    real: tuple[Path, Document], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Perfect masks on a quarter of the images: AP* is 25, which nothing else would explain."""
    path, by_hand = real
    found = truth_as_predictions(by_hand, 0)
    with caplog.at_level(logging.WARNING):
        lvis_ap_star(path, write(tmp_path / "all.json", found))
    assert not caplog.text
    images = {image["id"] for image in by_hand["images"][:25]}
    few = [entry for entry in found if entry["image_id"] in images]
    with_objects = {entry["image_id"] for entry in found}
    bare = len(with_objects) - len({entry["image_id"] for entry in few})
    with caplog.at_level(logging.WARNING):
        assert lvis_ap_star(path, write(tmp_path / "few.json", few))["AP"] < 40
    told = f"few.json: has nothing in {bare} of {len(with_objects)} images with objects of {path}"
    assert told in caplog.text
