"""A data set whose masks lie beside their objects is found out, and others are not."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.config.datasets import Dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco import Annotation, Category, CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.data.shifted import shift_of_masks
from pointrend_repro.tools.survey.inspecting import inspect_folder


def moved(dataset: CocoDataset, right: int, down: int) -> CocoDataset:
    def move(annotation: Annotation) -> Annotation:
        polygons = annotation.segmentation
        if not isinstance(polygons, list):
            return annotation
        by = [[c + (down if k % 2 else right) for k, c in enumerate(p)] for p in polygons]
        return dataclasses.replace(annotation, segmentation=by)

    def with_moved(image: ImageRecord) -> ImageRecord:
        return dataclasses.replace(image, annotations=tuple(map(move, image.annotations)))

    return dataclasses.replace(dataset, images=tuple(map(with_moved, dataset.images)))


@pytest.fixture
def drawn(tmp_path: Path) -> CocoDataset:
    """Ten noisy images of two rectangles each, one of them twice as large as is looked at."""
    random = np.random.default_rng(0)
    images = []
    for number in range(10):
        size = 200 if number else 1280
        pixels = random.integers(90, 130, (size, size)).astype(np.uint8)
        objects = []
        for _ in range(2):
            x0, y0 = random.integers(10, size // 2, 2).tolist()
            x1, y1 = (int(c + random.integers(20, size // 2 - 20)) for c in (x0, y0))
            pixels[y0:y1, x0:x1] += 70
            outline = [float(c) for c in (x0, y0, x1, y0, x1, y1, x0, y1)]
            box = (float(x0), float(y0), float(x1), float(y1))
            objects.append((box, outline))
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        annotations = tuple(
            Annotation(label=0, box=box, segmentation=[outline], is_crowd=False)
            for box, outline in objects
        )
        images.append(ImageRecord(number, path, size, size, annotations))
    return CocoDataset((Category(1, "rectangle"),), tuple(images))


def test_masks_that_fit_are_left_alone(drawn: CocoDataset) -> None:
    assert shift_of_masks(drawn) is None
    assert shift_of_masks(moved(drawn, 1, -1)) is None  # as exact as annotators are


@pytest.mark.parametrize(("right", "down"), [(6, 0), (-9, 5)])
def test_a_shift_is_told_in_pixels(right: int, down: int, drawn: CocoDataset) -> None:
    found = shift_of_masks(moved(drawn, right, down))
    assert found is not None
    assert found.right_px == pytest.approx(right, abs=1.5)
    assert found.down_px == pytest.approx(down, abs=1.5)
    assert found.looked_at == 10


def test_few_or_unreadable_images_say_nothing(drawn: CocoDataset) -> None:
    beside = moved(drawn, 8, 0)
    assert shift_of_masks(dataclasses.replace(beside, images=beside.images[:4])) is None
    for image in beside.images[:7]:
        image.path.write_bytes(b"no image")
    assert shift_of_masks(beside) is None


def test_the_check_before_training_warns(
    coco_builder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    drawn: CocoDataset,
) -> None:
    shift = shift_of_masks(moved(drawn, 6, 0))
    monkeypatch.setattr("pointrend_repro.data.check.shift_of_masks", lambda _: shift)
    root = coco_builder(
        mutate=lambda content: content["categories"].append({"id": 99, "name": "unicorn"})
    )
    config = Dataset(title="x", layout="coco", root=str(root), num_classes=None, classes=None)
    paths = data_paths("x", config, UserData())
    with caplog.at_level(logging.WARNING):
        describe_dataset("x", config, paths)
    told = [record.getMessage() for record in caplog.records]
    assert any("have no object" in line and "unicorn" in line for line in told)
    assert any("shifted against their images, 6 px to the right" in line for line in told)


@pytest.mark.parametrize("name", ["coco_tiny", "coco_keypoints_tiny"])
def test_real_annotations_fit_and_shifted_ones_are_noticed(name: str, shared_data: Path) -> None:
    root = shared_data / name
    dataset = read_coco(root / "val2017", next((root / "annotations").glob("*_val2017.json")))
    assert shift_of_masks(dataset) is None
    found = shift_of_masks(moved(dataset, -8, 6))
    assert found is not None
    assert (round(found.right_px), round(found.down_px)) == (-8, 6)


def test_the_check_of_a_folder_names_it(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = inspect_folder(shared_data / "coco_tiny", sample=1)
    assert "masks beside their objects" not in {f.kind for f in survey.findings}
    shift = shift_of_masks(
        moved(
            read_coco(
                shared_data / "coco_tiny/val2017",
                shared_data / "coco_tiny/annotations/instances_val2017.json",
            ),
            9,
            0,
        )
    )
    monkeypatch.setattr("pointrend_repro.tools.survey.inspecting.shift_of_masks", lambda _: shift)
    survey = inspect_folder(shared_data / "coco_tiny", sample=1)
    (found, _) = [f for f in survey.findings if f.kind == "masks beside their objects"]
    assert not found.must_mend
    assert "9 px to the right" in found.text
