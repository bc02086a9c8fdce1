"""Made-up annotations, predictions, label images and metric files of any number."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
from PIL import Image

from pointrend_repro.base.digests import result_digest
from pointrend_repro.base.json_list import write_json_list
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation

HEIGHT, WIDTH = 480, 640
DETECTIONS = 30  # an image; at most 100 of a class are counted
OBJECTS_OF_DETECTIONS = 7 / 30  # 7 an image, as in COCO val2017: 36,781 in 5,000
DISTINCT_IMAGES = 500  # others repeat them under other ids

Entry = dict[str, Any]

_CITY_HEIGHT, _CITY_WIDTH = 1024, 2048


def write_instances(folder: Path, images: int, detections: int = DETECTIONS) -> None:
    """Write `truth.json`, `lvis.json` and `predictions.json` for a number of images.

    Args:
        detections: in an image; there are objects in proportion.
    """
    rng = np.random.default_rng(0)
    share = max(1, round(detections * OBJECTS_OF_DETECTIONS))
    distinct = [_image(rng, detections, share) for _ in range(min(images, DISTINCT_IMAGES))]
    objects = list(_repeat([truth for truth, _ in distinct], images))
    found = list(_repeat([detections for _, detections in distinct], images))
    _write_truths(folder, objects, images)
    (folder / "predictions.json").write_text(json.dumps(found))


def write_many_predictions(folder: Path, images: int, detections: int = 1000) -> None:
    """Write what `write_instances` does, with 7 objects an image and many predictions.

    They are written as they are made up: this takes no more memory for more images.
    """
    rng = np.random.default_rng(0)
    distinct = [_image(rng, detections, 7) for _ in range(min(images, 20))]
    _write_truths(folder, list(_repeat([truth for truth, _ in distinct], images)), images)
    found = _repeat([detections for _, detections in distinct], images)
    write_json_list(folder / "predictions.json", found)


def _write_truths(folder: Path, objects: list[Entry], images: int) -> None:
    sizes = [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)]
    ids = [category.id for category in COCO_CATEGORIES]
    coco = {
        "images": [image | {"file_name": f"{image['id']:012}.jpg"} for image in sizes],
        "annotations": [{"id": n, **entry} for n, entry in enumerate(objects, start=1)],
        "categories": [{"id": c.id, "name": c.name} for c in COCO_CATEGORIES],
    }
    # Of every category it is known in every image whether it is there.
    there: dict[int, set[int]] = {}
    for entry in objects:
        there.setdefault(entry["image_id"], set()).add(entry["category_id"])
    federated = [
        image
        | {"neg_category_ids": [i for i in ids if i not in there[image["id"]]]}
        | {"not_exhaustive_category_ids": []}
        for image in sizes
    ]
    classes = [{"id": c.id, "synset": c.synset, "frequency": "f"} for c in COCO_CATEGORIES]
    lvis = coco | {"images": federated, "categories": classes}
    for name, content in (("truth", coco), ("lvis", lvis)):
        (folder / f"{name}.json").write_text(json.dumps(content))


def write_photographs(folder: Path, images: int) -> None:
    """Put an empty file in place of each photograph that `truth.json` lists: none is opened."""
    folder.mkdir()
    for number in range(1, images + 1):
        (folder / f"{number:012}.jpg").touch()


def write_streets(folder: Path, images: int) -> None:
    """Write Cityscapes' ground truth for a number of images, and predictions of both kinds.

    One picture of blocks stands for all of them, by links.
    """
    rng = np.random.default_rng(0)
    blocks = rng.choice([7, 11, 21, 23, 24, 26, 33], size=(32, 64)).astype(np.uint8)
    labels = np.kron(blocks, np.ones((32, 32), dtype=np.uint8))
    objects = np.isin(labels, [24, 26, 33])
    numbers = np.arange(_CITY_WIDTH, dtype=np.int32)[None] // 128
    instances = np.where(objects, labels.astype(np.int32) * 1000 + numbers, labels)
    Image.fromarray(labels).save(folder / "labels.png")
    Image.fromarray(np.roll(labels, 3, axis=1)).save(folder / "predicted.png")
    Image.fromarray(instances.astype(np.uint16)).save(folder / "instances.png")
    truth, predicted = folder / "gtFine/val/aachen", folder / "label_predictions"
    for path in (truth, predicted):
        path.mkdir(parents=True)
    names = [f"aachen_{number:06}_000019" for number in range(images)]
    for name in names:
        (truth / f"{name}_gtFine_labelIds.png").symlink_to(folder / "labels.png")
        (truth / f"{name}_gtFine_instanceIds.png").symlink_to(folder / "instances.png")
        (predicted / f"{name}_pred_labelIds.png").symlink_to(folder / "predicted.png")
    found = _street_detections(instances)
    from pointrend_repro.data.cityscapes import image_id

    results = [{"image_id": image_id(name), **entry} for name in names for entry in found]
    (folder / "instance_predictions.json").write_text(json.dumps(results))


def write_metrics(grid: Grid, results_dir: Path, resamples: int = 0) -> None:
    """Write the metric file of every evaluation of a grid, with numbers that mean nothing."""
    again = [round(30 + number / 7, 6) for number in range(resamples)]
    resampled = {"resamples": resamples, "seed": 0, "images": 5000, "values": {"AP": again}}
    for number, evaluation in enumerate(grid.evaluations):
        path = results_dir / evaluation.path
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _metric_file(grid, evaluation, number)
        content |= {"resampled": resampled} if resamples else {}
        # As a real one is, to be held against the numbers when they are read.
        content["origin"]["evaluate"]["output_digest"] = result_digest(content)
        path.write_text(json.dumps(content, indent=2))


def with_trials(grid: Grid, metric_files: int) -> Grid:
    """The grid with as many trials as make about so many metric files."""
    first = [e for cell in grid.cells for e in cell.evaluations[:1] if isinstance(e, Evaluation)]
    trials = max(1, round(metric_files / len(set(first))))

    def repeated(evaluations: tuple[Any, ...]) -> tuple[Any, ...]:
        if not evaluations or not isinstance(evaluations[0], Evaluation):
            return evaluations
        prediction = evaluations[0].prediction
        return tuple(
            replace(
                evaluations[0],
                prediction=replace(prediction, training=replace(prediction.training, trial=trial)),
            )
            for trial in range(trials)
        )

    cells = tuple(replace(cell, evaluations=repeated(cell.evaluations)) for cell in grid.cells)
    return replace(grid, cells=cells)


def _image(
    rng: np.random.Generator, detections: int, objects: int
) -> tuple[list[Entry], list[Entry]]:
    """Objects of one image, and detections: the objects, shifted, and others."""
    boxes, others = _boxes(rng, objects), _boxes(rng, detections - objects)
    labels = rng.integers(len(COCO_CATEGORIES), size=objects)
    shifted = boxes + rng.normal(0, 3, boxes.shape) * [1, 1, 0, 0]
    all_boxes = np.concatenate([shifted, others])
    other_labels = rng.integers(len(COCO_CATEGORIES), size=detections - objects)
    all_labels = np.concatenate([labels, other_labels])
    scores = rng.uniform(0.05, 1, detections)
    truth = [
        _object(box, label) | {"area": float(box[2] * box[3]), "iscrowd": 0}
        for box, label in zip(boxes, labels, strict=True)
    ]
    found = [
        _object(box, label) | {"score": float(score)}
        for box, label, score in zip(all_boxes, all_labels, scores, strict=True)
    ]
    return truth, found


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes (count, 4), xywh in pixels."""
    corners = rng.uniform(0, [WIDTH - 130, HEIGHT - 130], size=(count, 2))
    return np.concatenate([corners, rng.uniform(12, 120, size=(count, 2))], axis=1)


def _object(box: np.ndarray, label: int) -> Entry:
    x, y, w, h = np.maximum(box, 0).tolist()
    ellipse = [
        [x + w / 2 * (1 + np.cos(a)), y + h / 2 * (1 + np.sin(a))]
        for a in np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ]
    polygon = [float(value) for point in ellipse for value in point]
    (rle,) = mask_utils.frPyObjects([polygon], HEIGHT, WIDTH)
    return {
        "category_id": COCO_CATEGORIES[label].id,
        "bbox": [x, y, w, h],
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode("ascii")},
    }


def _repeat(distinct: list[list[Entry]], images: int) -> Iterator[Entry]:
    for number in range(images):
        for entry in distinct[number % len(distinct)]:
            yield {"image_id": number + 1, **entry}


def _street_detections(instances: np.ndarray) -> list[Entry]:
    found = []
    for number, value in enumerate(np.unique(instances[instances >= 1000])[:DETECTIONS]):
        mask = np.asfortranarray(np.roll(instances == value, 3, axis=1), dtype=np.uint8)
        rle = mask_utils.encode(mask)
        found.append(
            {
                "category_id": int(value) // 1000,
                "score": 1 / (2 + number),
                "segmentation": {
                    "size": [_CITY_HEIGHT, _CITY_WIDTH],
                    "counts": rle["counts"].decode("ascii"),
                },
            }
        )
    return found


def _metric_file(grid: Grid, evaluation: Evaluation, number: int) -> dict[str, Any]:
    training = evaluation.prediction.training
    settings = grid.training_settings(training.dataset, training.variant).model_dump(mode="json")
    keys = METRICS.find(evaluation.metric).keys
    others = {"metric": evaluation.metric}
    return {
        "metric": evaluation.metric,
        "values": dict.fromkeys(sorted(keys), 30 + number % 100 / 7),
        "origin": {
            "preset": grid.name,
            "dataset": training.dataset,
            "variant": training.variant,
            "trial": training.trial,
            "inference": evaluation.prediction.inference,
            "train": _record(evaluation, "train", settings, seed=training.trial),
            "predict": _record(evaluation, "predict", {"output_resolution": 224}, seed=None),
            "evaluate": _record(evaluation, "evaluate-all", others, seed=None),
        },
    }


def _record(
    evaluation: Evaluation, step: str, settings: dict[str, Any], seed: int | None
) -> dict[str, Any]:
    return {
        "command": _command(evaluation, step),
        "settings": settings,
        "settings_digest": "0" * 12,
        "seed": seed,
        "device": "none (made up)",
        "started": "2026-01-01T00:00:00+00:00",
        "wall_s": 1.0,
        "peak_memory_mb": 1.0,
        "git_commit": "0" * 40,
        "code_digest": "0" * 12,
        "versions": {"python": "3.11", "torch": "2"},
    }


def _command(evaluation: Evaluation, step: str) -> str:
    """A step's command, as long as the pipeline types it."""
    prediction, training = evaluation.prediction, evaluation.prediction.training
    results = "results/paper"
    predictions = f"{results}/{prediction.folder}/predictions.json"
    names = f"--preset paper --dataset {training.dataset} --variant {training.variant}"
    model = f"{results}/{training.model_path}"
    options = {
        "train": f"--trial {training.trial} --device auto --threads 1 --output {model}",
        "predict": f"--inference {prediction.inference} --model {model} --output {predictions}",
        "evaluate-all": f"--predictions {predictions} --output {results}/{prediction.folder}",
    }
    return f"pointrend-repro {step} {names} {options[step]} --config-dir config"
