"""The Data Science Bowl's folder of masks as COCO's annotations: what is drawn is what is read."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from benchmarks.nuclei_to_coco import annotations_of
from working_copy import REPOSITORY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images in the layout of stage1_train: RGBA images, masks of 0 and 255."""
    random = np.random.default_rng(0)
    for name, (height, width), objects in (("b1", (12, 20), 3), ("a0", (16, 9), 1)):
        for kind in ("images", "masks"):
            (tmp_path / "stage1_train" / name / kind).mkdir(parents=True)
        image = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"stage1_train/{name}/images/{name}.png"), image)
        for number in range(objects):
            mask = np.zeros((height, width), np.uint8)
            mask[4 * number : 4 * number + 3, 2:7] = 255
            mask[4 * number, 2] = 0  # no rectangle
            cv2.imwrite(str(tmp_path / f"stage1_train/{name}/masks/{number}.png"), mask)
    return tmp_path / "stage1_train"


def test_masks_are_those_of_the_files(folder: Path) -> None:
    command = [sys.executable, "benchmarks/nuclei_to_coco.py", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "2 images, 4 nuclei" in done.stdout
    coco = COCO(folder.parent / "annotations/instances_train2017.json")
    assert [image["file_name"][:2] for image in coco.loadImgs([1, 2])] == ["a0", "b1"]
    for image in coco.loadImgs(coco.getImgIds()):
        path = folder / image["file_name"]
        assert cv2.imread(str(path)).shape[:2] == (image["height"], image["width"])
        drawn = [cv2.imread(str(m), 0) > 0 for m in sorted(path.parents[1].glob("masks/*.png"))]
        objects = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert len(objects) == len(drawn)
        for one, mask in zip(objects, drawn, strict=True):
            assert np.array_equal(coco.annToMask(one), mask)
            assert one["area"] == mask.sum() == 14
            rows, columns = np.nonzero(mask)
            x, y, width, height = one["bbox"]
            assert (x, y) == (columns.min(), rows.min())
            assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    empty = folder / "a0/masks/1.png"
    cv2.imwrite(str(empty), np.zeros((16, 9), np.uint8))
    with pytest.raises(ValueError, match=f"{empty}: no mask, or an empty one"):
        annotations_of(folder)
    empty.unlink()
    broken = folder / "b1/images/b1.png"
    broken.write_bytes(b"not an image")
    with pytest.raises(ValueError, match=f"{broken}: no image"):
        annotations_of(folder)
    with pytest.raises(ValueError, match="no <image>/images/"):
        annotations_of(folder / "a0")
