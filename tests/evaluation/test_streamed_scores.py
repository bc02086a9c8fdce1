"""Scores of predictions in blocks of images are the official tools' of all at once, bit by bit."""

import contextlib
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.evaluation import evaluate_predictions, instance_results
from pointrend_repro.evaluation._lvis_compat import working_lvis
from pointrend_repro.evaluation.instance_results import blocks, index_results

HEIGHT, WIDTH = 80, 120
CATEGORIES = COCO_CATEGORIES[:3]
Entry = dict[str, Any]


def ellipse(rng: np.random.Generator, x: float, y: float, radius: float) -> Entry:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    inside = (xs - x) ** 2 + 2 * (ys - y) ** 2 < radius**2 + rng.random()
    rle = mask_utils.encode(np.asfortranarray(inside, dtype=np.uint8))
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotations with crowds and small objects; predictions with ties, in any order.

    The first image has more detections of a category than the tools look at, the last none.
    """
    folder = tmp_path_factory.mktemp("scored")
    rng = np.random.default_rng(0)
    images = [{"id": n, "height": HEIGHT, "width": WIDTH} for n in (40, 7, 19, 3, 88, 90, 5)]
    truth: list[Entry] = []
    found: list[Entry] = []
    for image in images[:-1]:
        for _ in range(rng.integers(1, 6)):
            place = rng.uniform([0, 0, 3], [WIDTH, HEIGHT, 70])
            own = {"image_id": image["id"], "category_id": CATEGORIES[int(rng.integers(3))].id}
            mask = ellipse(rng, *place)
            truth.append(
                {
                    **own,
                    "id": len(truth),
                    "iscrowd": int(rng.random() < 0.15),
                    "segmentation": mask,
                    "area": float(mask_utils.area(mask)),
                    "bbox": mask_utils.toBbox(mask).tolist(),
                }
            )
            for _ in range(40 if image is images[0] else 5):
                moved = ellipse(rng, *(place + rng.normal(0, 3, 3)))
                found.append({**own, "score": round(float(rng.random()), 1), "segmentation": moved})
    for entry in found[:150]:
        entry |= {"image_id": 40, "category_id": CATEGORIES[0].id}
    for entry in found:
        entry["bbox"] = [v + 0.25 for v in mask_utils.toBbox(entry["segmentation"]).tolist()]
    random.Random(0).shuffle(found)
    names = [{"id": c.id, "name": c.name} for c in CATEGORIES]
    content = {"images": images, "annotations": truth, "categories": names}
    (folder / "truth.json").write_text(json.dumps(content))
    for n, image in enumerate(images):
        image["neg_category_ids"] = [c.id for c in CATEGORIES[: n % 4]]
        image["not_exhaustive_category_ids"] = [CATEGORIES[0].id] * (n % 2)
    content["categories"] = [
        {"id": c.id, "synset": c.synset, "frequency": "rcf"[k]} for k, c in enumerate(CATEGORIES)
    ]
    (folder / "lvis.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(found, indent=2))
    return folder


@pytest.fixture(params=[1, 60, 10_000])
def few_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_results, "_ENTRIES_AT_ONCE", request.param)


def read_found(folder: Path, *, without: str) -> list[Entry]:
    found: list[Entry] = json.loads((folder / "found.json").read_text())
    for entry in found:
        del entry[without]
    return found


def read_truth(folder: Path) -> COCO:
    coco = COCO()
    coco.dataset = json.loads((folder / "truth.json").read_text())
    for n, entry in enumerate(coco.dataset["annotations"], start=1):
        entry["id"] = n  # 0 stands for no match
    coco.createIndex()
    return coco


def run(evaluation: Any) -> list[float | None]:
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [None if number < 0 else 100 * float(number) for number in evaluation.stats[:6]]


@pytest.mark.usefixtures("few_at_once")
def test_coco_ap(files: Path) -> None:
    scores = evaluate_predictions("coco_ap", files / "truth.json", files / "found.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = read_truth(files)
        masks = truth.loadRes(read_found(files, without="bbox"))
        boxes = truth.loadRes(read_found(files, without="segmentation"))
        expected = [*run(COCOeval(truth, masks, "segm")), run(COCOeval(truth, boxes, "bbox"))[0]]
    assert list(scores.values()) == expected
    assert expected[0] is not None
    assert 5 < expected[0] < 95


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("masks", [True, False])
def test_coco_box_ap(files: Path, tmp_path: Path, *, masks: bool) -> None:
    boxes = read_found(files, without="segmentation")
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    found = files / "found.json" if masks else tmp_path / "boxes.json"
    scores = evaluate_predictions("coco_box_ap", files / "truth.json", found)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = read_truth(files)
        expected = run(COCOeval(truth, truth.loadRes(boxes), "bbox"))
    assert list(scores.values()) == expected
    assert expected[0] is not None
    assert 5 < expected[0] < 95


@pytest.mark.usefixtures("few_at_once")
def test_boundary_ap(files: Path) -> None:
    import faster_coco_eval

    scores = evaluate_predictions("boundary_ap", files / "truth.json", files / "found.json")
    truth = faster_coco_eval.COCO(read_truth(files).dataset)
    found = truth.loadRes(read_found(files, without="bbox"))
    expected = run(faster_coco_eval.COCOeval_faster(truth, found, iouType="boundary"))
    # pycocotools matches and sums here, which differs from faster-coco-eval in the last bit.
    assert list(scores.values()) == [
        n if n is None else pytest.approx(n, abs=1e-9, rel=0) for n in expected
    ]
    assert expected[0] is not None
    assert 5 < expected[0] < 95


@pytest.mark.usefixtures("few_at_once")
def test_lvis_ap_star(files: Path) -> None:
    scores = evaluate_predictions("lvis_ap_star", files / "lvis.json", files / "found.json")
    content = json.loads((files / "lvis.json").read_text())
    for n, entry in enumerate(content["annotations"], start=1):
        entry["id"] = n
    numbered = files / "numbered.json"
    numbered.write_text(json.dumps(content))
    with working_lvis() as lvis:
        truth = lvis.LVIS(str(numbered))
        found = lvis.LVISResults(truth, read_found(files, without="bbox"))
        evaluation = lvis.LVISEval(truth, found, "segm")
        evaluation.run()
    expected = {key: 100 * float(evaluation.get_results()[key]) for key in scores}
    assert scores == {key: None if value < 0 else value for key, value in expected.items()}
    assert 5 < expected["AP"] < 95


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_blocks_hold_each_image_s_predictions_in_the_file_s_order(
    files: Path, tmp_path: Path, encoding: str
) -> None:
    content = read_found(files, without="bbox")
    content[3]["note"] = "größer 😀"
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    results = index_results(path)
    wanted = [3, 5, 40, 88]
    found = list(blocks(wanted, results))
    assert [i for ids, _ in found for i in ids] == wanted
    assert [e for _, entries in found for e in entries] == [
        entry for i in wanted for entry in content if entry["image_id"] == i
    ]
    assert (len(results), results.count(wanted)) == (len(content), sum(len(e) for _, e in found))
    assert not results.has_boxes


def test_a_file_that_goes_away_while_it_is_scored(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_bytes((files / "found.json").read_bytes())
    results = index_results(path)
    path.write_text("[]")
    with pytest.raises(UserError, match=r"found\.json: not valid JSON"):
        results.of_images([40])
    path.unlink()
    with pytest.raises(UserError, match=r"found\.json: no such file"):
        results.of_images([40])
