"""COCO's AP and AP* with weights are the official tools' on the sample, image by image."""

import contextlib
import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_matches import THRESHOLDS, made_up_images, official_ap, repeated
from pycocotools.coco import COCO

from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.evaluation import evaluate_predictions, score
from pointrend_repro.evaluation.bootstrap import (
    ImageCounts,
    average_precision,
    image_counts,
    resample,
)
from pointrend_repro.evaluation.bootstrap.average_precision import PrecisionCounts
from pointrend_repro.evaluation.bootstrap.official_matches import match_counts
from pointrend_repro.evaluation.match_table import COCO_FIELDS, MatchTable
from pointrend_repro.evaluation.scoring import ReadOnce


def counts_of(categories) -> PrecisionCounts:
    """The counts of images that are added one after another."""
    images = len(categories[0])
    names = tuple(str(index) for index in range(images))
    table = MatchTable(COCO_FIELDS, names, len(categories), sizes=1, thresholds=THRESHOLDS)
    for image in range(images):
        table.add([category[image] for category in categories], 1)
    return match_counts(table)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 3, 20]),
    st.sampled_from([0.0, 0.05, 0.6]),
    st.sampled_from([1, 40, 10**6]),
)
def test_ap_of_weights_is_pycocotools_on_repeated_images(seed, images, ignored, at_once) -> None:
    """However many categories are weighted at once."""
    rng = np.random.default_rng(seed)
    categories = [
        made_up_images(rng, images, detections=d, objects=g, ignored=ignored)
        for d, g in [(6, 4), (3, 0), (0, 3), (9, 2)]
    ]
    weights = rng.poisson(1, images)
    weights[0] += not weights.any()
    with contextlib.redirect_stdout(io.StringIO()):
        expected = official_ap(repeated(categories, weights))
    with patch.object(average_precision, "_AT_ONCE", at_once):
        value = counts_of(categories).score(weights)["AP"]
    assert value == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_a_sample_without_objects_has_no_ap() -> None:
    rng = np.random.default_rng(0)
    categories = [[None, *made_up_images(rng, 3, detections=3, objects=3)]]
    counts = counts_of(categories)
    assert np.isnan(counts.score(np.array([2, 0, 0, 0]))["AP"])
    assert np.isnan(counts_of([[None, None]]).score(np.array([1, 2]))["AP"])


def detection(image_id: int, category_id: int, mask: np.ndarray, score: float) -> dict:
    rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    size, counts = list(mask.shape), rle["counts"].decode()
    segmentation = {"size": size, "counts": counts}
    return {
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": segmentation,
        "bbox": mask_utils.toBbox(rle).tolist(),
        "score": score,
    }


def shifted_truth(path: Path, rng: np.random.Generator) -> list[dict]:
    """The objects moved to the right, some twice, some as another category, some not at all."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    categories = list(coco.cats)
    found = []
    for entry in coco.dataset["annotations"]:
        for _ in range(rng.integers(0, 3)):
            mask = np.roll(coco.annToMask(entry), rng.integers(0, 5), axis=1)
            category = entry["category_id"] if rng.random() < 0.8 else int(rng.choice(categories))
            found.append(detection(entry["image_id"], category, mask, float(rng.random())))
    return found


def sample(path: Path, predictions: list[dict], weights: np.ndarray) -> tuple[Path, Path]:
    """Annotations and predictions in which every image stands as often as it weighs."""
    content = json.loads(path.read_text())
    images, annotations, found = [], [], []
    for index, image in enumerate(content["images"]):
        for copy_number in range(weights[index]):
            new_id = 1000 * (index + 1) + copy_number
            images.append({**image, "id": new_id})
            for entry in content["annotations"]:
                if entry["image_id"] == image["id"]:
                    number = len(annotations) + 1
                    annotations.append({**copy.deepcopy(entry), "image_id": new_id, "id": number})
            found += [
                {**copy.deepcopy(p), "image_id": new_id}
                for p in predictions
                if p["image_id"] == image["id"]
            ]
    truth, output = path.with_name("sample.json"), path.with_name("sample_found.json")
    truth.write_text(json.dumps(content | {"images": images, "annotations": annotations}))
    output.write_text(json.dumps(found))
    return truth, output


def as_lvis(path: Path) -> Path:
    """The same annotations under COCO's real ids, with LVIS's lists of what is known."""
    content = json.loads(path.read_text())
    ids = {c["id"]: COCO_CATEGORIES[k].id for k, c in enumerate(content["categories"])}
    synsets = {c.id: c.synset for c in COCO_CATEGORIES}
    for category in content["categories"]:
        new = ids[category["id"]]
        category |= {"id": new, "synset": synsets[new], "frequency": "f"}
    for entry in content["annotations"]:
        entry["category_id"] = ids[entry["category_id"]]
    everything = list(ids.values())
    for index, image in enumerate(content["images"]):
        here = {e["category_id"] for e in content["annotations"] if e["image_id"] == image["id"]}
        known = [i for i in everything if i not in here]
        image |= {
            "neg_category_ids": known[: index % 2],
            "not_exhaustive_category_ids": everything[index % 3 : index % 3 + 1],
        }
    output = path.with_name("lvis.json")
    output.write_text(json.dumps(content))
    return output


def scored_counts(metric: str, truth: Path, path: Path) -> ImageCounts:
    counts = image_counts(metric, score(metric, truth, path, ReadOnce()))
    assert counts is not None
    return counts


@pytest.mark.parametrize("metric", ["boundary_ap", "coco_ap", "coco_box_ap", "lvis_ap_star"])
def test_the_tools_number_on_the_images_and_on_samples(
    coco_builder: Callable[..., Path], metric: str
) -> None:
    def some_crowds(document: dict) -> None:
        for entry in document["annotations"][::5]:
            if metric != "lvis_ap_star":
                mask = np.zeros((48, 64), np.uint8)
                mask[: 10 + entry["id"] % 7, 20:] = 1
                encoded = mask_utils.encode(np.asfortranarray(mask))
                encoded["counts"] = encoded["counts"].decode()
                entry |= {"iscrowd": 1, "segmentation": encoded}

    root = coco_builder(train_images=1, val_images=7, mutate=some_crowds)
    truth = root / "annotations/instances_val2017.json"
    if metric == "lvis_ap_star":
        truth = as_lvis(truth)
    rng = np.random.default_rng(3)
    predictions = shifted_truth(truth, rng)
    path = truth.with_name("found.json")
    path.write_text(json.dumps(predictions))

    counts = scored_counts(metric, truth, path)
    assert counts.images == tuple(str(1001 + k) for k in range(7))
    official = evaluate_predictions(metric, truth, path)
    assert 1 < official["AP"] < 99
    samples = [(np.ones(7, int), official)]
    for _ in range(4):
        weights = rng.poisson(1, 7)
        values = evaluate_predictions(metric, *sample(truth, predictions, weights))
        samples.append((weights, values))
    for weights, values in samples:
        found = counts.score(weights)
        assert set(found) == {"AP", "AP50", "AP75"}
        assert found == pytest.approx({key: values[key] for key in found}, abs=1e-9)
    assert official["AP50"] > official["AP75"]


def test_nothing_found_is_zero_and_nothing_there_is_nothing(
    coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    root = coco_builder(val_images=3)
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    truth = root / "annotations/instances_val2017.json"
    counts = scored_counts("coco_ap", truth, empty)
    nothing = dict.fromkeys(("AP", "AP50", "AP75"), 0.0)
    assert counts.score(np.array([1, 0, 2])) == nothing
    found = resample(counts, nothing, 20)
    assert set(found["values"]["AP"]) <= {0.0, None}
    assert (found["resamples"], found["images"]) == (20, 3)


def test_another_number_than_the_official_one_is_never_resampled(
    coco_builder: Callable[..., Path], tmp_path: Path
) -> None:
    truth = coco_builder(val_images=3) / "annotations/instances_val2017.json"
    path = tmp_path / "found.json"
    path.write_text("[]")
    counts = scored_counts("coco_ap", truth, path)
    with pytest.raises(RuntimeError, match=r"score gives 0\.1; they must be equal"):
        resample(counts, {"AP": 0.1, "AP50": 0.0, "AP75": 0.0}, 2)
    with pytest.raises(RuntimeError, match="score gives None; they must be equal"):
        resample(counts, {"AP": None, "AP50": None, "AP75": None}, 2)
