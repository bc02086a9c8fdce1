"""Fixtures that several test files share."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from pointrend_repro import cli
from small_experiment import CocoBuilder, Run

# Tests run in parallel processes; torch's own threads on top would only be in each other's way.
torch.set_num_threads(1)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# Neither contiguous nor in order, as COCO's are not: label k is the k-th smallest id.
COCO_BUILDER_CATEGORIES = {7: "triangle", 3: "rectangle", 20: "diamond"}

Document = dict[str, Any]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data, `../shared/data`, which not every machine has."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real test data (shared/data beside the repository) is not on this machine")
    return SHARED_DATA


@pytest.fixture
def coco_builder(tmp_path: Path) -> CocoBuilder:
    """A function that writes a small valid data set in COCO's layout and returns its root.

    Arguments of the function, all by keyword:
        root: folder to fill (default: a new one).
        train_images, val_images: how many images.
        size: (width, height) in pixels.
        mutate: changes the annotation document of a split in place before it is written.
    """

    def build(
        *,
        root: Path = tmp_path / "coco",
        train_images: int = 4,
        val_images: int = 2,
        size: tuple[int, int] = (64, 48),
        mutate: Callable[[Document], object] | None = None,
    ) -> Path:
        (root / "annotations").mkdir(parents=True)
        for split, first, count in (("train", 1, train_images), ("val", 1001, val_images)):
            document = _write_split(root / f"{split}2017", range(first, first + count), size)
            if mutate is not None:
                mutate(document)
            path = root / "annotations" / f"instances_{split}2017.json"
            path.write_text(json.dumps(document))
        return root

    return build


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def _write_split(folder: Path, ids: range, size: tuple[int, int]) -> Document:
    folder.mkdir()
    width, height = size
    images, annotations = [], []
    for image_id in ids:
        name = f"{image_id:012d}.jpg"
        picture = Image.new("RGB", size, (30, 60, 30))
        for category_id, colour, polygon in _objects(image_id, width, height):
            ImageDraw.Draw(picture).polygon(polygon, fill=colour)
            number = len(annotations) + 1000 * ids.start
            annotations.append(_annotation(number, image_id, category_id, polygon))
        picture.save(folder / name, quality=95)
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
    categories = [{"id": key, "name": name} for key, name in COCO_BUILDER_CATEGORIES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _objects(image_id: int, width: int, height: int) -> list[tuple[int, str, list[float]]]:
    """Three objects that do not touch, shifted from image to image."""
    w, h, s = width / 3, height / 2, image_id % 3
    x = 2 * w
    return [
        (3, "red", [s, s, w - 4 + s, s, w - 4 + s, h, s, h]),
        (7, "yellow", [w + s, height - 2, w + s + w / 2, h / 2, 2 * w - 3 + s, height - 2]),
        (20, "blue", [x + w / 2, 2, width - 3, h, x + w / 2, 2 * h - 4, x + 3, h]),
    ]


def _annotation(number: int, image_id: int, category_id: int, polygon: list[float]) -> Document:
    xs, ys = polygon[::2], polygon[1::2]
    pairs = zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)],
        "segmentation": [polygon],
        "area": abs(sum(x0 * y1 - x1 * y0 for x0, y0, x1, y1 in pairs)) / 2,
        "iscrowd": 0,
    }
