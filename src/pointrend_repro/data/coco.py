"""COCO's on-disk format: a folder of images and one JSON file of instance annotations."""

import logging
import os
from array import array
from collections import defaultdict
from collections.abc import Collection, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.long_list import LongList, read_with_long_list
from pointrend_repro.data.category_names import category_name
from pointrend_repro.data.coco_checks import (
    annotation_problem,
    category_problem,
    entry_name,
    image_problem,
    meant_files,
)
from pointrend_repro.data.keypoints import KeypointDefinition, read_definition, shared_definition
from pointrend_repro.data.segmentations import Segmentation

_log = logging.getLogger(__name__)

# The faults of the official instances_train2017.json: of its 860001 annotations these two have a
# box of height 0 (cocodataset/cocoapi issue 355 names both images). They are dropped; anywhere
# else a box of zero area is an error. Image id -> box [x, y, width, height].
KNOWN_EMPTY_BOXES = {
    200365: [296.65, 388.33, 1.03, 0.0],
    550395: [9.98, 188.56, 5.54, 0.0],
}


@dataclass(frozen=True)
class Category:
    """A class as its file lists it; ids need be neither contiguous nor start at 1.

    Attributes:
        keypoints: those that its objects have; None: none.
    """

    id: int
    name: str
    keypoints: KeypointDefinition | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object, or one crowd of objects, in an image.

    Attributes:
        label: contiguous class from 0, an index into `CocoDataset.categories`.
        box: (x0, y0, x1, y1) in pixels of the upright image, as annotated (not clipped).
        segmentation: polygons, each an array of x, y, x, y, ... in pixels, or an RLE (`counts` is
            a list of run lengths, or their compressed text).
        is_crowd: a region of many objects, which is neither trained on nor scored.
        keypoints: x, y and visibility of each of the category's, as annotated, in COCO's frame:
            indices of pixels, half a pixel less than in that of boxes. Visibility 0: not labelled,
            1: labelled but hidden, 2: visible. None: none is labelled.
    """

    label: int
    box: tuple[float, float, float, float]
    segmentation: Segmentation
    is_crowd: bool
    keypoints: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ImageRecord:
    """An image file, its size in pixels as annotated, and its objects (possibly none).

    Attributes:
        keypoints: those that objects of the data set have; None: none, or different ones in
            different categories.
    """

    id: int
    path: Path
    width: int
    height: int
    annotations: tuple[Annotation, ...]
    keypoints: KeypointDefinition | None = None


@dataclass(frozen=True)
class CocoDataset:
    """Categories sorted by id, so that label k is `categories[k]`, and images sorted by id."""

    categories: tuple[Category, ...]
    images: tuple[ImageRecord, ...]


def read_coco(images_dir: Path, annotations: Path) -> CocoDataset:
    """Read a data set in COCO format and check all of it, without opening any image.

    Reading is strict: a faulty annotation is an error, since dropping it silently would change
    what a model is trained on. The one exception is `KNOWN_EMPTY_BOXES`, logged as a warning.

    Args:
        images_dir: folder that the `file_name`s are relative to.
        annotations: the JSON file, such as `instances_train2017.json`.

    Raises:
        UserError: the file is missing, truncated or faulty, or an image is not on disk. The
            message names the file and the id, and counts the faulty annotations.
    """
    content = read_with_long_list(annotations, "annotations", allow_nan=True)
    categories = _categories(_entries(content, "categories", annotations), annotations)
    images = _images(_entries(content, "images", annotations), annotations)
    files = _files_on_disk(images_dir, images, annotations)
    entries = _entries(content, "annotations", annotations)
    by_image = _annotations(entries, images, categories, annotations)
    keypoints = shared_definition(categories)
    records = [
        ImageRecord(
            id=image_id,
            path=files[image_id],
            width=image["width"],
            height=image["height"],
            annotations=tuple(by_image[image_id]),
            keypoints=keypoints,
        )
        for image_id, image in sorted(images.items())
    ]
    return CocoDataset(categories=tuple(categories), images=tuple(records))


def _entries(content: Any, key: str, path: Path) -> Collection[Any]:
    if not isinstance(content, dict) or not isinstance(content.get(key), list | LongList):
        raise UserError(
            f"{path}: has no list {key!r}; give a COCO instances file, and not that of a split "
            "without labels, such as a challenge's for testing"
        )
    entries: Collection[Any] = content[key]
    return entries


def _categories(entries: Collection[Any], path: Path) -> list[Category]:
    found: dict[int, Category] = {}
    for index, entry in enumerate(entries):
        if problem := category_problem(entry, found):
            raise UserError(f"{path}: category {entry_name(entry, index)}: {problem}")
        found[entry["id"]] = Category(entry["id"], category_name(entry), read_definition(entry))
    if not found:
        raise UserError(f"{path}: lists no categories; add them")
    return [found[key] for key in sorted(found)]


def _images(entries: Collection[Any], path: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for index, entry in enumerate(entries):
        if problem := image_problem(entry, found):
            raise UserError(f"{path}: image {entry_name(entry, index)}: {problem}")
        found[entry["id"]] = entry
    return found


def _files_on_disk(
    images_dir: Path, images: dict[int, dict[str, Any]], path: Path
) -> dict[int, Path]:
    # One listing per folder: asking for each of COCO's 118 thousand files takes minutes on a
    # network disk.
    listings: dict[str, set[str]] = {}
    found = {}
    for image_id, image in images.items():
        folder, name = os.path.split(image["file_name"])
        if folder not in listings:
            listings[folder] = _listing(images_dir / folder, f"{path}: image {image_id}")
        on_disk = next((each for each in meant_files(name) if each in listings[folder]), None)
        if on_disk is None:
            raise UserError(
                f"{path}: image {image_id}: {images_dir / image['file_name']} is not on disk; "
                "fetch it, or take it off the list"
            )
        found[image_id] = images_dir / folder / on_disk
    return found


def _listing(folder: Path, image: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: no such folder of images; fetch the data set first") from None
    except OSError as error:  # such as a name that is too long
        raise UserError(
            f"{image}: the folder of its file_name cannot be read ({error.strerror}); correct one "
            "of the two"
        ) from None


def _annotations(
    entries: Collection[Any],
    images: dict[int, dict[str, Any]],
    categories: list[Category],
    path: Path,
) -> dict[int, list[Annotation]]:
    sizes = {key: (image["height"], image["width"]) for key, image in images.items()}
    labels = {category.id: label for label, category in enumerate(categories)}
    keypoints = {category.id: category.keypoints for category in categories}
    seen: set[int] = set()
    by_image: dict[int, list[Annotation]] = defaultdict(list)
    problems: list[str] = []
    for index, entry in enumerate(entries):
        if is_known_empty(entry):
            _log.warning("%s: dropped annotation %s: known box of no height", path, entry.get("id"))
            continue
        problem = annotation_problem(entry, sizes=sizes, keypoints=keypoints)
        if problem is None and entry["id"] in seen:
            problem = "has the id of another annotation; give it one of its own"
        if problem is not None:
            problems.append(f"annotation {entry_name(entry, index)} {problem}")
            continue
        seen.add(entry["id"])
        by_image[entry["image_id"]].append(_annotation(entry, labels))
    if problems:
        raise UserError(f"{path}: {problems[0]} (faulty annotations in all: {len(problems)})")
    return by_image


def _annotation(entry: dict[str, Any], labels: dict[int, int]) -> Annotation:
    x, y, width, height = entry["bbox"]
    points = entry.get("keypoints") or ()
    return Annotation(
        label=labels[entry["category_id"]],
        box=(float(x), float(y), float(x + width), float(y + height)),
        segmentation=_compact(entry["segmentation"]),
        is_crowd=bool(entry.get("iscrowd", 0)),
        keypoints=tuple(map(float, points)) if any(points[2::3]) else None,
    )


def _compact(segmentation: Any) -> Segmentation:
    """Return a well-formed segmentation with 8 bytes for each number of its polygons, not 32."""
    if isinstance(segmentation, list):
        polygons: list[MutableSequence[float]] = [array("d", polygon) for polygon in segmentation]
        return polygons
    rle: Segmentation = segmentation
    return rle


def is_known_empty(entry: Any) -> bool:
    """Whether an annotation is one of `KNOWN_EMPTY_BOXES`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("image_id"), int):
        return False
    box = KNOWN_EMPTY_BOXES.get(entry["image_id"])
    return box is not None and entry.get("bbox") == box
