"""Predicted Cityscapes instances, from the official results folder or from COCO results.

The official layout is one text file per image, anywhere in the folder, named
`<city>_<sequence>_<frame>*.txt`, with one line per instance:

    path/of/mask.png labelId score

Paths are relative to the text file. Every non-zero pixel of a mask belongs to the instance.
"""

import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_utils
from cityscapesscripts.helpers.labels import id2label
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import shown
from pointrend_repro.data.cityscapes import INSTANCE_CLASSES, image_id
from pointrend_repro.data.decoding import opened_picture
from pointrend_repro.evaluation.instance_results import (
    index_results,
    require_known,
    require_masks,
)

_IMAGE_NAME = re.compile(r"[^_]+_[^_]+_\d+")  # <city>_<sequence>_<frame>

# (height, width) of an image in pixels.
Size = tuple[int, int]


@dataclass(frozen=True)
class PredictedInstance:
    """One predicted object of a scored class, with at least one pixel.

    Attributes:
        label_id: official id of its class.
        score: higher means more confident.
        top, left: where `mask` lies in the image, in pixels.
        mask: bool (h, w), a part of the image that contains the whole object.
    """

    label_id: int
    score: float
    top: int
    left: int
    mask: NDArray[np.bool_]


# Maps an image's name and size to its instances.
Reader = Callable[[str, Size], Iterator[PredictedInstance]]


def folder_reader(folder: Path, names: Collection[str]) -> Reader:
    """Find the results of every image in a folder in the official layout.

    Args:
        folder: the folder of results.
        names: the images, `<city>_<sequence>_<frame>`.

    Raises:
        UserError: an image has no text file or several; the reader itself raises it for a faulty
            line or mask.
    """
    root = folder.resolve()
    listings: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(root.rglob("*.txt")):
        if match := _IMAGE_NAME.match(path.name):
            listings[match[0]].append(path)
    for name in names:
        if len(listings[name]) != 1:
            raise UserError(
                f"{folder}: has {len(listings[name])} files {name}*.txt, where the official "
                "evaluator wants one for each image of gtFine/val; an empty one says that nothing "
                "was found"
            )

    def read(name: str, size: Size) -> Iterator[PredictedInstance]:
        for mask, label_id, score in _read_listing(listings[name][0], root):
            instance = _read_mask(mask, size, label_id, score)
            if instance is not None:
                yield instance

    return read


def coco_reader(path: Path, sizes: Mapping[str, Size]) -> Reader:
    """Read predictions in COCO's results format, at the size of the images.

    Args:
        path: results with `image_id` as in `data.cityscapes.image_id`, and official label ids.
        sizes: by image name.

    Raises:
        UserError: the file is faulty, or refers to other images, sizes or classes.
    """
    results = index_results(path)
    require_masks(results)
    require_known(
        results,
        sizes={image_id(name): size for name, size in sizes.items()},
        category_ids=INSTANCE_CLASSES,
    )

    def read(name: str, size: Size) -> Iterator[PredictedInstance]:
        for entry in results.of_images([image_id(name)]):
            rle = entry["segmentation"]
            left, top, width, height = (int(side) for side in mask_utils.toBbox(rle))
            if width and height:
                mask = mask_utils.decode(rle)[top : top + height, left : left + width] != 0
                yield PredictedInstance(entry["category_id"], entry["score"], top, left, mask)

    return read


def _read_listing(path: Path, root: Path) -> list[tuple[Path, int, float]]:
    found: dict[Path, tuple[Path, int, float]] = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
        where = f"{path}: line {number}"
        parts = line.split(" ")
        try:
            name, label_id, score = parts[0], int(float(parts[1])), float(parts[2])
        except (IndexError, ValueError, OverflowError):
            raise UserError(f"{where}: is {shown(line)}; write `mask.png labelId score`") from None
        if len(parts) != 3 or not math.isfinite(score):
            raise UserError(f"{where}: is {shown(line)}; write `mask.png labelId score`")
        if label_id not in id2label:
            raise UserError(f"{where}: {label_id} is not a label id of Cityscapes; write 24 to 33")
        mask = Path(os.path.normpath(path.parent / name))
        if not mask.is_relative_to(root):
            raise UserError(f"{where}: {name} lies outside of {root}; move it there")
        if mask in found:
            # The official evaluator would count only the last such line.
            raise UserError(f"{where}: {name} appears twice; give each object its own mask")
        found[mask] = (mask, label_id, score)
    return list(found.values())


def _read_mask(path: Path, size: Size, label_id: int, score: float) -> PredictedInstance | None:
    """Read a mask image; None if it is empty or its class not scored, as in the official tool."""
    if label_id not in INSTANCE_CLASSES:
        return None
    advice = "write the mask again"
    with opened_picture(path, otherwise="cannot be read", advice=advice) as image:
        grey = image.convert("L")
    if grey.size != size[::-1]:
        raise UserError(
            f"{path}: is {grey.width}x{grey.height} pixels, but its image is {size[1]}x{size[0]}; "
            "write masks at the image's size"
        )
    box = grey.getbbox()
    if box is None:
        return None
    return PredictedInstance(label_id, score, box[1], box[0], np.array(grey.crop(box)) != 0)
