"""Memory grows by some bytes a prediction: results of any size can be written, read and scored."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pycocotools.mask as mask_utils
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pointrend_repro.base import json_pieces
from pointrend_repro.base.files import write_json
from pointrend_repro.base.json_list import write_json_list
from pointrend_repro.evaluation import instance_results, score
from pointrend_repro.evaluation.bootstrap import image_counts, resample
from pointrend_repro.evaluation.instance_results import index_results
from pointrend_repro.evaluation.scoring import ReadOnce

FEW, MANY = 20, 160  # images
DETECTIONS = 50
CATEGORIES = 10
HEIGHT = WIDTH = 64

# A prediction, its share of what is kept of an image, and of the category that is accumulated.
BYTES = 200


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is at once in memory, in proportion to the files that are made here."""
    monkeypatch.setattr(json_pieces, "_CHUNK", 1 << 14)
    monkeypatch.setattr(instance_results, "_ENTRIES_AT_ONCE", 5 * DETECTIONS)
    monkeypatch.setattr(instance_results, "_IMAGES_AT_ONCE", 5)


def predictions(images: int) -> Iterator[dict[str, Any]]:
    for image in range(1, images + 1):
        for number in range(DETECTIONS):
            box = [number, image % 20, 10 + number % 9, 12]
            polygon = [*box[:2], box[0] + box[2], box[1], box[0] + box[2], box[1] + box[3]]
            (rle,) = mask_utils.frPyObjects([[float(v) for v in polygon]], HEIGHT, WIDTH)
            yield {
                "image_id": image,
                "category_id": 1 + number % CATEGORIES,
                "score": (number * 7919 + image * 104729) % 9973 / 9973,
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()},
            }


def write_files(folder: Path, images: int) -> Path:
    path = folder / f"{images}.json"
    write_json_list(path, predictions(images))
    there = {
        "id": 1,
        "category_id": 1,
        "bbox": [5, 5, 10, 12],
        "area": 60,
        "iscrowd": 0,
        "segmentation": [[5, 5, 15, 5, 15, 17]],
    }
    write_json(
        folder / f"{images}_truth.json",
        {
            "images": [{"id": n, "height": HEIGHT, "width": WIDTH} for n in range(1, images + 1)],
            "annotations": [{**there, "image_id": n} for n in range(1, images + 1, 8)],
            "categories": [{"id": n} for n in range(1, CATEGORIES + 1)],
        },
    )
    return path


def growth(run: Callable[[int], object], of_image: int = DETECTIONS) -> float:
    """Bytes that each prediction or object more adds to the peak of a run for some images."""
    run(FEW)  # loads what is loaded once
    peaks = []
    for images in (FEW, MANY):
        tracemalloc.start()
        run(images)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (MANY - FEW) / of_image


@pytest.mark.parametrize("metric", ["coco_ap", "lvis_ap_star", "keypoint_ap", "proposal_recall"])
def test_annotations_stay_in_their_file(tmp_path: Path, metric: str) -> None:
    """An annotation more adds its place, and not its outline of 100 numbers or its keypoints."""
    annotated = 20  # objects of an image
    outline = [float(n % WIDTH) for n in range(100)]
    there = {"id": 1, "category_id": 1, "bbox": [5, 5, 10, 12], "area": 60.0}
    there |= {"segmentation": [outline], "keypoints": [1, 2, 2] * 133}
    lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    points = {"keypoints": [str(n) for n in range(133)], "skeleton": [], "sigmas": [0.1] * 133}
    category = {"id": 1, "name": "person", "synset": "person.n.01", "frequency": "f", **points}
    for images in (FEW, MANY):
        write_json_list(tmp_path / f"{images}.json", [])
        numbers = range(1, images + 1)
        content = {
            "images": [{"id": n, "height": HEIGHT, "width": WIDTH, **lists} for n in numbers],
            "annotations": [{**there, "image_id": n} for n in numbers for _ in range(annotated)],
            "categories": [category],
        }
        write_json(tmp_path / f"{images}_truth.json", content, indent=None)

    def run(images: int) -> None:
        score(metric, tmp_path / f"{images}_truth.json", tmp_path / f"{images}.json", ReadOnce())

    assert growth(run, annotated) < BYTES
    if metric == "coco_ap":
        assert growth(lambda n: COCO(str(tmp_path / f"{n}_truth.json")), annotated) > 10 * BYTES


def test_writing(tmp_path: Path) -> None:
    entries = {n: list(predictions(n)) for n in (FEW, MANY)}
    assert growth(lambda n: write_json_list(tmp_path / "p.json", iter(entries[n]))) < 0.5
    assert growth(lambda n: write_json(tmp_path / "p.json", entries[n], indent=None)) > 100


def test_reading(tmp_path: Path) -> None:
    paths = {n: write_files(tmp_path, n) for n in (FEW, MANY)}
    assert growth(lambda n: index_results(paths[n])) < 40


@pytest.mark.parametrize("metric", ["coco_ap", "boundary_ap", "proposal_recall"])
def test_scoring(tmp_path: Path, metric: str) -> None:
    paths = {n: write_files(tmp_path, n) for n in (FEW, MANY)}

    def run(images: int) -> None:
        truth = tmp_path / f"{images}_truth.json"
        scored = score(metric, truth, paths[images], ReadOnce())
        counts = image_counts(metric, scored)
        if counts is not None:
            resample(counts, scored.values, 5)

    def at_once(images: int) -> None:
        truth = COCO(str(tmp_path / f"{images}_truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(paths[images])), "segm")
        evaluation.evaluate()

    assert growth(run) < BYTES
    if metric == "coco_ap":
        assert growth(at_once) > 5 * BYTES
