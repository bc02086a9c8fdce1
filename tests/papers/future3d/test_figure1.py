"""Figure 1 shows what the checks of two data sets have counted."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.commands import figures
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.data import box_sizes as counting
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.papers.future3d.figures import figure1

ENTRY = {"draw": "future3d.figure1", "datasets": {"a": "coco", "b": "cityscapes"}, "role": "coco"}


@pytest.fixture
def dataset(coco_builder: Callable[..., Path]) -> CocoDataset:
    def crowd(document: Any) -> None:
        document["annotations"][0] |= {
            "iscrowd": 1, "segmentation": {"size": [48, 64], "counts": [0, 48 * 64]},
        }  # fmt: skip

    root = coco_builder(train_images=6, mutate=crowd)
    return read_coco(root / "train2017", root / "annotations/instances_train2017.json")


def test_boxes_are_counted_by_the_root_of_their_area(
    dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = counting.box_sizes(dataset)
    objects = [a for image in dataset.images for a in image.annotations if not a.is_crowd]
    assert len(objects) < sum(len(image.annotations) for image in dataset.images)
    sizes = [math.sqrt((a.box[2] - a.box[0]) * (a.box[3] - a.box[1])) for a in objects]
    expected, _ = np.histogram(sizes, np.arange(0, 10 * len(found["counts"]) + 1, 10))
    assert found["counts"] == expected.tolist()
    assert found["counts"][-1] > 0
    assert (found["images"], found["boxes"]) == (6, len(sizes))
    assert found["median_px"] == pytest.approx(np.median(sizes), abs=0.005)
    monkeypatch.setattr(counting, "_IMAGES", 2)
    part = counting.box_sizes(dataset)
    assert (part["images"], part) == (2, counting.box_sizes(dataset))
    assert part["boxes"] < found["boxes"]


def test_as_many_images_are_drawn_as_in_the_report(dataset: CocoDataset) -> None:
    (image, *_) = dataset.images
    many = tuple(replace(image, id=number) for number in range(10_030))
    found = counting.box_sizes(CocoDataset(dataset.categories, many))
    objects = sum(not each.is_crowd for each in image.annotations)
    assert (found["images"], found["boxes"]) == (10_000, 10_000 * objects)
    assert (
        f"{objects * 10_000:,} boxes in 10,000"
        in figure1.draw({"a": described("A", found)}).caption
    )


def test_a_data_set_without_objects_has_no_sizes(dataset: CocoDataset) -> None:
    empty = counting.box_sizes(CocoDataset(dataset.categories, ()))
    assert (empty["images"], empty["median_px"], empty["counts"]) == (0, None, [])
    drawn = figure1.draw({"a": described("A", empty)})
    assert "median unknown" in drawn.caption


def described(title: str, sizes: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "box_sizes": sizes}


def sizes(images: int, counts: list[int]) -> dict[str, Any]:
    told = {"images": images, "boxes": sum(counts), "median_px": 14.2, "interval_px": 10}
    return told | {"counts": counts}


def test_both_are_drawn_as_of_equally_many_images() -> None:
    drawn = figure1.draw(
        {
            "large": described("Large", sizes(5000, [0, 1, 4])),
            "small": described("S", sizes(100, [3])),
        }
    )
    (ax,) = drawn.figure.axes
    values = [patch.get_data() for patch in ax.patches]
    assert [data.values.tolist() for data in values] == [[0, 2, 8], [300]]
    assert values[0].edges.tolist() == [0, 10, 20, 30]
    assert ax.get_xlim() == (0, 30)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Large", "S"]
    assert (
        "Large (5 boxes in 5,000 training images, median 14 pixels); of S (3 boxes" in drawn.caption
    )


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(CONFIG_DIR, tmp_path / "config"))
    path = folder / "papers/pointrend/figures.yaml"
    content = yaml.safe_load(path.read_text())
    content["figures"]["figure20"] = ENTRY
    path.write_text(yaml.safe_dump(content))
    return folder


def test_it_is_drawn_from_the_checks_alone(config_dir: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    places = {"results_dir": results, "output": tmp_path / "x.png", "config_dir": config_dir}
    with pytest.raises(UserError, match=r"generated_coco/dataset.json: no such file"):
        figures.figure("figure20", "smoke", **places)
    files = ["generated_coco/dataset.json", "generated_cityscapes/dataset.json"]
    for number, file in enumerate(files):
        path = results / "smoke" / file
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(described(f"D{number}", sizes(10, [1, 2]))))
    figures.figure("figure20", "smoke", **places)
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["scores"] == [
        {"file": file, "output_digest": content_digest(results / "smoke" / file)} for file in files
    ]
    assert (record["models"], record["dataset"]) == ([], "generated_coco")
    (results / "smoke" / files[1]).write_text('{"title": "older"}')
    with pytest.raises(UserError, match=r"has no box_sizes, but title; unless .* check the data"):
        figures.figure("figure20", "smoke", **places)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"datasets": {"a": "coco", "b": "nowhere"}}, "figure20 shows data set nowhere; add it"),
        ({"role": "cityscapes_x"}, "role cityscapes_x: is none of its datasets"),
        ({"draw": "figure2"}, "figure20: figure2 needs models"),
        ({"models": {"a": "pointrend_r50_fpn"}}, "give either models or scores, or datasets"),
    ],
)
def test_entries_that_cannot_be_drawn(config_dir: Path, change: dict[str, Any], told: str) -> None:
    path = config_dir / "papers/pointrend/figures.yaml"
    content = yaml.safe_load(path.read_text())
    content["figures"]["figure20"] |= change
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=told):
        load_grid("smoke", config_dir, papers=["pointrend"])


def test_its_data_sets_are_checked_though_no_table_asks_for_them(config_dir: Path) -> None:
    path = config_dir / "papers/pointrend/figures.yaml"
    content = yaml.safe_load(path.read_text())
    content["figures"]["figure20"]["datasets"]["b"] = "coco_keypoints"
    path.write_text(yaml.safe_dump(content))
    grid = load_grid("smoke", config_dir, papers=["pointrend"])
    assert "generated_people" in grid.datasets
    assert "generated_people" in grid.of_paper("pointrend").datasets
    assert "generated_people" not in load_grid("smoke", papers=["pointrend"]).datasets
