"""The challenge's AP is pycocotools' with its areas and numbers of detections."""

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
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation import evaluate_predictions, score
from pointrend_repro.evaluation.bootstrap import image_counts, resample
from pointrend_repro.evaluation.scoring import ReadOnce
from pointrend_repro.pipeline.steps.evaluation import run_evaluation

SIDE = 420
IMAGES, CLASSES = 3, 2
MAX_DETS = {"future3d_ap": [1, 5, 10], "future3d_ap_100": [1, 10, 100]}
Entry = dict[str, Any]


def mask_of(x: float, y: float, width: float, height: float) -> Entry:
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[int(max(y, 0)) : int(y + height), int(max(x, 0)) : int(x + width)] = 1
    rle = mask_utils.encode(mask)
    return {"size": [SIDE, SIDE], "counts": rle["counts"].decode()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(3)
    truth: list[Entry] = []
    found: list[Entry] = []
    for image in range(1, IMAGES + 1):
        for number in range(12):
            side = rng.uniform(*[(20, 100), (120, 240), (270, 400)][number % 3], size=2)
            place = np.concatenate([rng.uniform(0, SIDE - side), side])
            own = {"image_id": image, "category_id": number % CLASSES + 1}
            mask = mask_of(*place)
            measured = {"area": float(mask_utils.area(mask)), "bbox": place.tolist()}
            truth.append({**own, **measured, "id": len(truth) + 1, "segmentation": mask})
            for _ in range(3):
                moved = mask_of(*(place + rng.normal(0, 4, 4)))
                box = mask_utils.toBbox(moved).tolist()
                found.append({**own, "score": rng.random(), "segmentation": moved, "bbox": box})
    content = {
        "images": [{"id": n, "height": SIDE, "width": SIDE} for n in range(1, IMAGES + 1)],
        "annotations": [entry | {"iscrowd": 0} for entry in truth],
        "categories": [{"id": n + 1} for n in range(CLASSES + 1)],  # one without objects
    }
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(found))
    # loadRes would sort masks into sizes by their boxes.
    masks = [{k: e[k] for k in e if k != "bbox"} for e in found]
    (folder / "masks.json").write_text(json.dumps(masks))
    return folder


def official(truth_file: Path, found_file: Path, max_dets: list[int]) -> dict[str, float | None]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(truth_file))
        evaluation = COCOeval(truth, truth.loadRes(str(found_file)), "segm")
        areas = [[0, 1e10], [0, 113**2], [113**2, 256**2], [256**2, 1e10]]
        evaluation.params.areaRng, evaluation.params.maxDets = areas, max_dets
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][..., 0, -1]
    numbers = [np.mean(precision[precision > -1]), *evaluation.stats[1:6]]
    if max_dets[-1] == 100:
        assert numbers[0] == evaluation.stats[0]
    return dict(zip(("AP", "AP50", "AP75", "APs", "APm", "APl"), numbers, strict=True))


@pytest.mark.parametrize("metric", list(MAX_DETS))
def test_numbers_are_the_official_tools(files: Path, metric: str) -> None:
    expected = official(files / "truth.json", files / "masks.json", MAX_DETS[metric])
    values = evaluate_predictions(metric, files / "truth.json", files / "found.json")
    assert values == {key: 100 * value for key, value in expected.items()}
    assert all(0 < value < 100 for value in values.values())


def test_each_limit_counts(files: Path) -> None:
    few, many, coco = (
        evaluate_predictions(metric, files / "truth.json", files / "found.json")
        for metric in ("future3d_ap", "future3d_ap_100", "coco_ap")
    )
    assert few["AP"] < many["AP"] == coco["AP"]
    assert many["APs"] != coco["APs"]


def test_sizes_without_objects_have_no_number(files: Path, tmp_path: Path) -> None:
    truth = json.loads((files / "truth.json").read_text())
    truth["annotations"] = [e for e in truth["annotations"] if e["area"] <= 256**2]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    values = evaluate_predictions("future3d_ap", tmp_path / "truth.json", files / "found.json")
    assert values["APl"] is None
    (tmp_path / "none.json").write_text("[]")
    values = evaluate_predictions("future3d_ap", tmp_path / "truth.json", tmp_path / "none.json")
    assert (values["AP"], values["APl"]) == (0, None)


def test_all_metrics_of_a_prediction_agree_with_each_alone(files: Path) -> None:
    metrics = ["coco_ap", *MAX_DETS]
    once = ReadOnce(metrics)
    for metric in metrics:
        together = score(metric, files / "truth.json", files / "found.json", once).values
        assert together == evaluate_predictions(
            metric, files / "truth.json", files / "found.json"
        ), metric


@pytest.mark.parametrize("metric", list(MAX_DETS))
def test_a_resampled_image_counts_as_often_as_it_is_drawn(
    files: Path, tmp_path: Path, metric: str
) -> None:
    scored = score(metric, files / "truth.json", files / "found.json", ReadOnce())
    counts = image_counts(metric, scored)
    assert counts is not None
    resampled = resample(counts, scored.values, 5)
    assert len(set(resampled["values"]["AP"])) > 1
    weights = {1: 2, 2: 0, 3: 1}
    truth = json.loads((files / "truth.json").read_text())
    found = json.loads((files / "masks.json").read_text())
    copies = [(image, 10 * image + n) for image, times in weights.items() for n in range(times)]

    def copied(entries: list[Entry], key: str) -> list[Entry]:
        chosen = [e | {key: new} for old, new in copies for e in entries if e[key] == old]
        return [e | {"id": n + 1} for n, e in enumerate(chosen)] if key != "id" else chosen

    truth["images"] = copied(truth["images"], "id")
    truth["annotations"] = copied(truth["annotations"], "image_id")
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps(copied(found, "image_id")))
    expected = official(tmp_path / "truth.json", tmp_path / "found.json", MAX_DETS[metric])
    values = counts.score(np.array(list(weights.values())))
    assert values == pytest.approx({key: 100 * expected[key] for key in expected}, abs=1e-9)


def test_the_record_names_the_limits(files: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    found.write_bytes((files / "found.json").read_bytes())
    found.with_suffix(".origin.json").write_text("{}")
    output = tmp_path / "future3d_ap.json"
    run_evaluation("future3d_ap", files / "truth.json", found, output=output)
    told = json.loads(output.read_text())
    settings = {
        "metric": "future3d_ap", "area_limits_px": [12769, 65536], "max_detections": [1, 5, 10],
    }  # fmt: skip
    assert told["origin"]["evaluate"]["settings"] == settings
    assert METRICS.find("future3d_ap_100").settings["max_detections"] == [1, 10, 100]


def test_boxes_alone_are_refused(files: Path, tmp_path: Path) -> None:
    boxes = [{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [1, 1, 5, 5]}]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    with pytest.raises(UserError, match="has no 'segmentation'"):
        evaluate_predictions("future3d_ap", files / "truth.json", tmp_path / "boxes.json")
