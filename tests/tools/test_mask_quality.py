"""benchmarks/mask_quality.py: IoU of masks whose boxes are right, by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from benchmarks.mask_quality import exact_outlines, objects_of_trial, summary


def rle(columns: int) -> dict:
    """A mask of 10 rows in an image of 20x40, as many columns wide."""
    pixels = np.zeros((20, 40), dtype=np.uint8, order="F")
    pixels[5:15, 5 : 5 + columns] = 1
    encoded = coco_mask.encode(pixels)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def truth(path: Path, columns: int) -> COCO:
    annotation = {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0, "area": 10 * columns}
    annotation |= {"bbox": [5, 5, columns, 10], "segmentation": rle(columns)}
    image = {"id": 1, "height": 20, "width": 40}
    content = {"images": [image], "annotations": [annotation]}
    path.write_text(json.dumps(content | {"categories": [{"id": 3, "name": "kite"}]}))
    return COCO(str(path))


def predictions(path: Path, box_columns: int, mask_columns: int) -> Path:
    found = {"image_id": 1, "category_id": 3, "score": 0.9, "bbox": [5, 5, box_columns, 10]}
    path.write_text(json.dumps([found | {"segmentation": rle(mask_columns)}]))
    return path


def test_masks_are_compared_where_boxes_are_right(tmp_path: Path) -> None:
    coarse, exact = truth(tmp_path / "coarse.json", 20), truth(tmp_path / "exact.json", 16)
    good = predictions(tmp_path / "good.json", 20, 16)
    fair = predictions(tmp_path / "fair.json", 18, 10)
    outlines = exact_outlines(coarse, exact)
    (found,) = objects_of_trial(coarse, outlines, [good, fair])
    assert found.coarse == pytest.approx([0.8, 0.5])
    assert found.exact == pytest.approx([1.0, 0.625])
    told = summary([[found]], ["good", "fair"])
    assert told["mask_iou"] == {"good": 0.8, "fair": 0.5}
    assert told["by_class"] == {"kite": {"objects": 1, "good": 0.8, "fair": 0.5}}
    wrong = predictions(tmp_path / "wrong.json", 10, 20)
    assert list(objects_of_trial(coarse, outlines, [good, wrong])) == []
