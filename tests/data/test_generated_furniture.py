"""Generated furniture: large objects with holes, on disk as 3D-FUTURE's challenge gives it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco import read_coco
from pointrend_repro.data.generated.furniture_classes import furniture_classes
from pointrend_repro.data.generated.furniture_layout import generate_furniture
from pointrend_repro.data.images import read_image
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.identity import identity

SETTINGS = GeneratedSettings(
    train_images=2, val_images=8, width_px=640, height_px=640, classes=6, subject="furniture",
    crowd_image_share=0.0, smallest_px=128,
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("furniture") / "data"
    generate_furniture(folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def val(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "annotations/val_set.json").read_text())
    return content


def test_our_reader_and_checks_accept_it(root: Path) -> None:
    config = load_dataset("generated_furniture")
    paths = data_paths("generated_furniture", config, UserData(root))
    described = describe_dataset("generated_furniture", config, paths)
    # By rising id, which is the place in the challenge's list.
    assert described["categories"] == [
        *("Tea Table", "Shelf", "Bed Frame", "Dining Chair", "Dressing Table", "armchair"),
    ]
    assert (described["train"]["images"], described["val"]["images"]) == (2, 8)
    assert described["val"]["images_without_objects"] == 1
    image = read_coco(paths.val_images, paths.val_annotations).images[0]
    assert image.path.suffix == ".jpg"
    assert read_image(image.path).shape == (640, 640, 3)


def test_the_files_are_the_challenges(val: dict[str, Any]) -> None:
    assert all("." not in image["file_name"] for image in val["images"])
    # As in the README of the organisers' segmentation/inst_segm_evaluation.
    names = {each["id"]: each for each in val["categories"]}
    assert all(each.keys() == {"id", "category_name", "fine-grained category name"}
               for each in names.values())  # fmt: skip
    assert names[11]["category_name"] == names[5]["category_name"] == "Cabinet/Shelf/Desk"
    assert names[11]["fine-grained category name"] == "Shelf"
    for entry in val["annotations"]:
        assert "iscrowd" not in entry
        runs = entry["segmentation"]["counts"]
        assert isinstance(runs, list)
        assert sum(runs) == 640 * 640
        assert sum(runs[1::2]) == entry["area"]


def test_objects_are_large_and_of_all_sizes(val: dict[str, Any]) -> None:
    areas = np.array([entry["area"] for entry in val["annotations"]])
    assert (areas > 113**2).mean() > 0.5
    for size in (areas <= 113**2, (areas > 113**2) & (areas < 256**2), areas >= 256**2):
        assert size.any()


def test_each_object_has_holes_and_differs_from_the_others_of_its_class() -> None:
    for shape in furniture_classes(SETTINGS.model_copy(update={"classes": 8})):
        rng = np.random.default_rng(0)
        outlines = [shape.outline(rng) for _ in range(20)]
        assert all(each.is_valid and each.interiors for each in outlines), shape.name
        assert len({round(outline.area, 6) for outline in outlines}) == 20, shape.name


def test_the_same_settings_draw_the_same_bytes(root: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    generate_furniture(again, SETTINGS)
    files = sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file())
    assert len(files) == 2 + 8 + 3
    for file in files:
        assert (root / file).read_bytes() == (again / file).read_bytes()


def test_settings_that_draw_no_furniture() -> None:
    with pytest.raises(ValueError, match="subject furniture: for layout coco, not cityscapes"):
        Dataset(title="x", layout="cityscapes", root="x", num_classes=6, generate=SETTINGS)
    size = {"train_images": 1, "val_images": 1, "width_px": 64, "height_px": 64}
    with pytest.raises(ValueError, match="classes 9: of furniture, 8 at most"):
        GeneratedSettings(**size, classes=9, subject="furniture")
    assert "subject" not in identity(GeneratedSettings(**size))
