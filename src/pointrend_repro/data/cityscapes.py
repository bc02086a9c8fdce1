"""Cityscapes' official folder, and its instances in COCO format.

    leftImg8bit/{train,val}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/{train,val}/<city>/<city>_<sequence>_<frame>_gtFine_instanceIds.png

A pixel of an instanceIds image is 1000 * class + number for a single object, and the bare id of the
class for stuff and for a group whose members cannot be told apart (cityscapesscripts,
preparation/json2instanceImg.py).
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
from numpy.typing import NDArray
from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_json
from pointrend_repro.data.cityscapes_classes import CLASSES, LAST_ID
from pointrend_repro.data.coco import Category
from pointrend_repro.data.decoding import opened_picture
from pointrend_repro.data.paths import LabelKind, label_ending
from pointrend_repro.settings.values import Split

# Official id -> name of the classes with scored instances, as in the official evaluator.
INSTANCE_CLASSES: dict[int, str] = {each.id: each.name for each in CLASSES if each.has_instances}

# Label k of a model is the class with train id k; its category id is the official label id.
TRAIN_CLASSES: tuple[Category, ...] = tuple(Category(each.id, each.name) for each in CLASSES)

# Values in an instanceIds image. Below the first object are stuff, void and groups.
FIRST_OBJECT_ID = 1000
LARGEST_ID = 1000 * LAST_ID + 999

IMAGE_ENDING = "_leftImg8bit.png"


def prepare_instances(root: Path, split: Split, output: Path) -> None:
    """Write the instances of one split as COCO annotations, so that all later steps read COCO.

    Masks are the visible pixels of each object, exactly as the official evaluator sees them. A
    group is one `iscrowd` region per class. Category ids are the official label ids, image ids
    those of `image_id`, and `file_name` is relative to `leftImg8bit/<split>`.

    Args:
        root: the official folder; nothing is written there.
        split: which split.
        output: the JSON file. The same folder gives the same bytes.

    Raises:
        UserError: an image or its ground truth is missing or unreadable, or their sizes differ.
    """
    instance_files = label_files(root, split)
    photographs = image_files(root, split, instance_files)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, path in track(instance_files.items(), f"{split} instances"):
        ids = read_instance_ids(path)
        _require_size(photographs[name], ids.shape, path)
        height, width = ids.shape
        file_name = photographs[name].relative_to(root / "leftImg8bit" / split).as_posix()
        image = {"id": image_id(name), "file_name": file_name, "width": width, "height": height}
        images.append(image)
        for annotation in instance_annotations(ids):
            own = {"id": len(annotations) + 1, "image_id": image["id"]}
            annotations.append(own | annotation)
    content = {
        "info": {"description": f"Cityscapes gtFine {split}, visible pixels of each instance"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": key, "name": name} for key, name in INSTANCE_CLASSES.items()],
    }
    write_json(output, content, indent=None)


def label_files(root: Path, split: Split, kind: LabelKind = "instanceIds") -> dict[str, Path]:
    """Return the label images of a split by `<city>_<sequence>_<frame>`, sorted.

    Raises:
        UserError: there are none, one is missing beside its polygons, or two have one name.
    """
    folder, ending = root / "gtFine" / split, label_ending(kind)
    found = files_by_name(folder, ending)
    for name, polygons in files_by_name(folder, "_gtFine_polygons.json").items():
        if name not in found:
            raise UserError(
                f"{polygons.with_name(name + ending)}: no such file, though there are "
                "polygons; unpack all of gtFine_trainvaltest.zip, which has the label images too"
            )
    if not found:
        raise UserError(
            f"{folder}: holds no <city>/*{ending}; unpack gtFine_trainvaltest.zip of "
            f"Cityscapes into {root}"
        )
    return found


def image_files(
    root: Path, split: Split, labelled: dict[str, Path], kind: LabelKind = "instanceIds"
) -> dict[str, Path]:
    """Return the photographs of a split by `<city>_<sequence>_<frame>`.

    Args:
        root: the official folder.
        split: which split.
        labelled: what `label_files` returned.
        kind: the kind of label images in `labelled`.

    Raises:
        UserError: there are none, not exactly those that have label images, or one lies in
            another city than they do.
    """
    folder = root / "leftImg8bit" / split
    found = files_by_name(folder, IMAGE_ENDING)
    if not found:
        raise UserError(
            f"{folder}: holds no <city>/*{IMAGE_ENDING}; unpack leftImg8bit_trainvaltest.zip of "
            f"Cityscapes into {root}"
        )
    unlabelled = sorted(found.keys() - labelled.keys())
    if unlabelled:
        raise UserError(
            f"{found[unlabelled[0]]}: has no *{label_ending(kind)} in {root / 'gtFine' / split} "
            f"(images without: {len(unlabelled)}); unpack all of gtFine_trainvaltest.zip"
        )
    unseen = sorted(labelled.keys() - found.keys())
    if unseen:
        raise UserError(
            f"{labelled[unseen[0]]}: has no *{IMAGE_ENDING} in {folder} (label images "
            f"without: {len(unseen)}); unpack all of leftImg8bit_trainvaltest.zip"
        )
    for name, path in found.items():
        if path.parent.name != labelled[name].parent.name:
            raise UserError(
                f"{path}: lies in another city than {labelled[name]}; put both into folders of "
                "one name"
            )
    return found


def read_instance_ids(path: Path) -> NDArray[np.integer]:
    """Read an instanceIds image, (H, W).

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    advice = "unpack gtFine again"
    with opened_picture(path, otherwise="cannot be read", advice=advice) as image:
        ids = np.array(image)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise UserError(f"{path}: is not an image of ids (one channel); unpack gtFine again")
    if ids.min() < 0 or ids.max() > LARGEST_ID:
        raise UserError(
            f"{path}: has the id {ids.min() if ids.min() < 0 else ids.max()}, but instanceIds "
            f"go from 0 to {LARGEST_ID}; unpack gtFine again"
        )
    return ids


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of an image file in pixels, without reading its pixels.

    Raises:
        UserError: it is missing or not an image.
    """
    advice = "unpack its archive again"
    with opened_picture(path, otherwise="cannot be read", advice=advice) as image:
        size = image.height, image.width
    return size


def class_of(instance_id: int) -> int:
    """Return the label id that a value of an instanceIds image stands for."""
    return instance_id if instance_id < FIRST_OBJECT_ID else instance_id // 1000


def image_id(name: str) -> int:
    """Return the COCO id of image `<city>_<sequence>_<frame>`.

    It depends only on the name, so predictions can never be scored against the wrong image of a
    folder that has changed. In 48 bits two of Cityscapes' 5000 images share an id with a
    probability of 1 in 20 million, and `read_coco` would refuse them.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])


def files_by_name(folder: Path, ending: str) -> dict[str, Path]:
    """Return the files of one kind in the cities of a split, by `<city>_<sequence>_<frame>`.

    Raises:
        UserError: two cities have a file of the same name. The official scorer and the ids of
            images know a file by its name alone.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*/*{ending}"), key=lambda path: (path.name, path)):
        name = path.name.removesuffix(ending)
        if name in found:
            raise UserError(
                f"{path}: has the name of {found[name]}; begin the names of a city's files with "
                "its own name, as Cityscapes does, since a scorer knows them by these alone"
            )
        found[name] = path
    return found


def _require_size(image: Path, shape: tuple[int, ...], label_image: Path) -> None:
    size = image_size(image)
    if size != shape:
        raise UserError(
            f"{image}: is {size[1]}x{size[0]} pixels, but {label_image} is {shape[1]}x{shape[0]}; "
            "unpack both again"
        )


def instance_annotations(ids: NDArray[np.integer]) -> list[dict[str, Any]]:
    """Return the COCO annotations of one instanceIds image (H, W), ordered by their ids in it.

    They lack `id` and `image_id`.
    """
    by_columns = np.asfortranarray(ids)  # as COCO's RLE counts
    annotations = []
    for instance_id in np.unique(ids).tolist():
        if class_of(instance_id) not in INSTANCE_CLASSES:
            continue
        rle = mask_utils.encode((by_columns == instance_id).view(np.uint8))
        annotations.append(
            {
                "category_id": class_of(instance_id),
                "iscrowd": int(instance_id < FIRST_OBJECT_ID),
                "area": int(mask_utils.area(rle)),
                "bbox": mask_utils.toBbox(rle).tolist(),
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode("ascii")},
            }
        )
    return annotations
