"""Objects that the check says are not used in training are in no example, of any kind."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import Annotation, CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.drawn import drawn_faults
from pointrend_repro.data.examples import training_example
from pointrend_repro.data.patch_sampling import draw_patch, patch_sampling
from pointrend_repro.data.segmentations import segmentation_rle
from pointrend_repro.engines.detectron2.left_out import without_faulty
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_training import (
    DeepMaskInputSettings,
    DeepMaskTrainingSettings,
)
from pointrend_repro.settings.schedule import InputSettings, ScheduleSettings

BOX = (10.0, 10.0, 30.0, 30.0)
SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]


def runs(left: int, width: int) -> dict[str, Any]:
    """Columns of an image of 90 rows, 120 columns, as uncompressed runs."""
    return {"size": [90, 120], "counts": [90 * left, 90 * width, 90 * (120 - left - width)]}


FAULTY: dict[str, Any] = {
    "outside its image": [[v + 500 for v in SQUARE]],
    "far outside of it": [[10, 10, 1e5, 10, 1e5, 30, 10, 30]],
    "so far that it would take gigabytes": [[10, 10, 1e8, 10, 1e8, 30, 10, 30]],
    "less than a pixel, but more once it is enlarged": [[10.6, 10.6, 11.3, 10.6, 11.3, 11.3]],
    "outside its box": [[v + 45 for v in SQUARE]],
    "outside its box, as runs": runs(70, 30),
}


def dataset_of(folder: Path, segmentation: Any, box: tuple[float, ...] = BOX) -> CocoDataset:
    """An image of a faulty object, of label 1, and two sound ones."""
    path = folder / "image.png"
    Image.new("RGB", (120, 90)).save(path)
    moved = [[v + 40 for v in SQUARE]]
    sound = Annotation(0, tuple(v + 40 for v in BOX), moved, False)  # type: ignore[arg-type]
    objects = (sound, Annotation(1, box, segmentation, False), replace(sound, label=2))  # type: ignore[arg-type]
    return CocoDataset((), (ImageRecord(1, path, 120, 90, objects),))


@pytest.mark.parametrize("fault", FAULTY)
def test_what_the_check_names_is_in_no_example(tmp_path: Path, fault: str) -> None:
    dataset = dataset_of(tmp_path, FAULTY[fault])
    (image,) = dataset.images
    assert [annotation.label for _, annotation, _ in drawn_faults(dataset)] == [1]
    sizes = InputSettings(train_short_edges_px=(360,), max_long_edge_px=480)
    _, target = training_example(image, sizes, np.random.default_rng(0))
    assert target.labels.tolist() == [0, 2]
    record = record_of_detectron2(image)
    assert [each["category_id"] for each in without_faulty(record)["annotations"]] == [0, 2]
    assert len(record["annotations"]) == 3


def record_of_detectron2(image: ImageRecord) -> dict[str, Any]:
    """As `instance_records` makes it, which needs detectron2."""
    size = (image.height, image.width)
    return {
        "height": image.height,
        "width": image.width,
        "annotations": [
            {
                "bbox": list(each.box),
                "category_id": each.label,
                "segmentation": each.segmentation
                if isinstance(each.segmentation, list)
                else segmentation_rle(each.segmentation, *size),
                "iscrowd": int(each.is_crowd),
            }
            for each in image.annotations
        ],
    }


def test_nothing_else_is_left_out(tmp_path: Path) -> None:
    """Crowds of detectron2's records are its own matter: their outlines are not drawn."""
    dataset = dataset_of(tmp_path, [SQUARE])
    (image,) = dataset.images
    assert not list(drawn_faults(dataset))
    record = record_of_detectron2(image)
    assert without_faulty(record) == record
    record["annotations"][1] |= {"iscrowd": 1, "segmentation": FAULTY["far outside of it"]}
    assert without_faulty(record) == record


@pytest.mark.parametrize("way", ["paper", "code"])
@pytest.mark.parametrize("masks_only", [False, True])
def test_patches_are_of_no_faulty_object(tmp_path: Path, way: Any, *, masks_only: bool) -> None:
    dataset = dataset_of(tmp_path, FAULTY["outside its box"])
    (image,) = dataset.images
    settings = DeepMaskTrainingSettings(
        model=DeepMaskModelSettings(patch_px=64, context_px=16),
        input=DeepMaskInputSettings(sampling=way, jitter_px=0, jitter_octaves=0),
        schedule=ScheduleSettings(total_iters=1),
    )
    sampling = replace(patch_sampling(settings, [image]), masks_only=masks_only)
    rng = np.random.default_rng(0)
    drawn = [draw_patch(image, sampling, rng) for _ in range(200)]
    labels = {one.masked.label for one in drawn if one.masked is not None}
    assert labels == {0, 2}
    assert {one.place.x for one in drawn if one.is_positive} == {60.0}
    alone = replace(image, annotations=image.annotations[1:2])
    sampling = replace(patch_sampling(settings, [alone]), masks_only=masks_only)
    drawn = [draw_patch(alone, sampling, rng) for _ in range(40)]
    assert not any(one.is_positive or one.masked for one in drawn)


@pytest.mark.parametrize("crowd", [0, 1])
@pytest.mark.parametrize("coordinate", [1e9, -1e9, 1e300, 1_000_001])
def test_what_pycocotools_cannot_follow_is_named(
    coco_builder: Callable[..., Path], coordinate: float, crowd: int
) -> None:
    root = coco_builder()
    path = root / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    entry = content["annotations"][3]
    entry |= {"iscrowd": crowd, "segmentation": [SQUARE, [1, 1, coordinate, 1, 9, 20]]}
    path.write_text(json.dumps(content))
    told = rf"train2017\.json: annotation {entry['id']} \(image {entry['image_id']}\) has a polygon"
    with pytest.raises(UserError, match=rf"{told} with a coordinate of .*correct or remove it"):
        read_coco(root / "train2017", path)


def test_it_is_not_drawn_by_whoever_has_not_asked() -> None:
    far = [SQUARE, [1, 1, 1e9, 1, 9, 20]]
    with pytest.raises(ValueError, match="a polygon reaches beyond 1000000 pixels"):
        segmentation_rle(far, 90, 120)
    many = [[float(v) for v in np.linspace(1, 999_999, 5000)]]
    assert segmentation_rle(many, 90, 120)["size"] == [90, 120]
