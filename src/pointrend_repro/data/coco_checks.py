"""What an entry of a COCO file must satisfy to be trained on, and its fault in words."""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

from pointrend_repro.base.json_text import shown
from pointrend_repro.data.category_names import name_key
from pointrend_repro.data.keypoint_checks import keypoints_problem
from pointrend_repro.data.keypoints import KeypointDefinition, read_definition
from pointrend_repro.data.rle_checks import rle_problem

_REQUIRED = ("id", "image_id", "category_id", "bbox", "segmentation")
MIN_COORDINATES = 6  # three points
# Pillow's limit (twice `Image.MAX_IMAGE_PIXELS`): no larger image is opened. Masks are drawn at the
# size that is written here before any image is, so that it decides how much memory they take.
MAX_PIXELS = 178_956_970
# pycocotools walks along an outline in fifths of a pixel, wherever it leads: a million pixels take
# it 80 MB, and some more overflow its counters. No image is as wide.
FARTHEST_PX = 1_000_000
# COCO's scorer sorts ids in NumPy, which rounds them if some are above this and some below.
LARGEST_ID = 2**63 - 1


def category_problem(entry: Any, seen: Container[int]) -> str | None:
    """Return what is wrong with an element of `categories`, or None; `seen` are earlier ids."""
    problem = type_problem(entry, {"id": int, name_key(entry): str})
    problem = problem or twice_problem(entry, seen, "category")
    if problem is None:
        try:
            read_definition(entry)
        except ValueError as error:
            return str(error)
    return problem


def meant_files(name: str) -> tuple[str, str]:
    """Return the names on disk that an image's `file_name` may mean, the likelier one first.

    3D-FUTURE's annotations name their images without the ending.
    """
    return name, f"{name}.jpg"


def image_problem(entry: Any, seen: Container[int]) -> str | None:
    """Return what is wrong with an element of `images`, or None; `seen` are earlier ids."""
    problem = type_problem(entry, {"id": int, "file_name": str}) or size_problem(entry, seen)
    if problem is None and "\0" in entry["file_name"]:
        return f"file_name is {shown(entry['file_name'])}; no file has a zero byte in its name"
    return problem


def size_problem(entry: Any, seen: Container[int]) -> str | None:
    """Return what is wrong with an image's id and size, or None; `seen` are earlier ids."""
    problem = type_problem(entry, {"id": int, "width": int, "height": int})
    if problem is None and min(entry["width"], entry["height"]) <= 0:
        return f"is {entry['width']} x {entry['height']} pixels; write its true size"
    if problem is None and entry["width"] * entry["height"] > MAX_PIXELS:
        return (
            f"is {shown(entry['width'])} x {shown(entry['height'])} pixels, and images of more "
            f"than {MAX_PIXELS} are not read; write its true size, or make it smaller"
        )
    return problem or twice_problem(entry, seen, "image")


def type_problem(entry: Any, types: dict[str, type]) -> str | None:
    """Return which of an entry's values is absent or of another type, or None."""
    for key, kind in types.items():
        value = entry.get(key) if isinstance(entry, dict) else None
        if type(value) is not kind:  # exact, since JSON's true is an int to isinstance
            expected = "a whole number" if kind is int else "a text"
            return f"{key} is {shown(value)}; write {expected}"
    if types.get("id") is int and not is_id(entry["id"]):
        return (
            f"id is {shown(entry['id'])}, and scorers tell ids apart up to {LARGEST_ID}; write a "
            "smaller one, or let `pointrend-repro data mend` number them"
        )
    return None


def is_id(value: Any) -> bool:
    """Whether scorers tell this id of an image or a category from others."""
    return type(value) is int and -LARGEST_ID <= value <= LARGEST_ID


def twice_problem(entry: Any, seen: Container[int], what: str) -> str | None:
    """Return what is wrong with an id if it is among `seen`, those of earlier entries, or None."""
    return f"its id appears twice; give each {what} its own" if entry["id"] in seen else None


def entry_name(entry: Any, index: int) -> str:
    """Return an entry's id, and its image if it has one; otherwise its index in the list."""
    if not isinstance(entry, dict) or "id" not in entry:
        return f"number {index} (from 0)"
    image = f" (image {_plain(entry['image_id'])})" if "image_id" in entry else ""
    return f"{_plain(entry['id'])}{image}"


def _plain(value: Any) -> str:
    is_word = isinstance(value, str) and value.isprintable() and len(value) <= 60
    return value if is_word else shown(value)


def annotation_problem(
    entry: Any,
    *,
    sizes: Mapping[int, tuple[int, int]],
    keypoints: Mapping[int, KeypointDefinition | None],
) -> str | None:
    """Return what is wrong with an annotation and what to do about it, or None.

    Args:
        entry: one element of the file's `annotations`.
        sizes: (height, width) in pixels of each image that the file lists, by image id.
        keypoints: those of each category that the file lists, by category id.
    """
    if not isinstance(entry, dict):
        return "is not a JSON object; correct it"
    for key in _REQUIRED:
        if key not in entry:
            return f"has no {key!r}; add it"
    if problem := reference_problem(entry, sizes, keypoints):
        return problem
    size = sizes[entry["image_id"]]
    return (
        box_problem(entry["bbox"])
        or segmentation_problem(entry["segmentation"], size)
        or keypoints_problem(entry, keypoints[entry["category_id"]], size)
    )


def reference_problem(
    entry: dict[str, Any], images: Container[int], categories: Container[int] | None
) -> str | None:
    """Return what is wrong with an annotation's ids or its `iscrowd`, or None.

    Args:
        entry: with `image_id`, and `category_id` unless `categories` is None.
        images: ids that the file lists.
        categories: ids that the file lists; None: categories do not count.
    """
    for key in ("id", "image_id", "category_id"):
        if key in entry and type(entry[key]) is not int:
            return f"has {key} {shown(entry[key])}; write a whole number"
    if entry["image_id"] not in images:
        return f"names image {entry['image_id']}, which is not listed; list it under 'images'"
    if categories is not None and entry["category_id"] not in categories:
        return (
            f"names category {entry['category_id']}, which is not listed; "
            "list it under 'categories'"
        )
    if entry.get("iscrowd", 0) not in (0, 1):
        return f"has iscrowd {shown(entry['iscrowd'])}; write 0 or 1"
    return None


def box_problem(box: Any, *, may_be_empty: bool = False) -> str | None:
    """Return what is wrong with a box [x, y, width, height] in pixels, or None.

    Args:
        may_be_empty: accept a width or height of 0, which scorers can use.
    """
    if not isinstance(box, list) or len(box) != 4 or not _all_finite(box):
        return f"has bbox {shown(box)}; write four finite numbers [x, y, width, height]"
    if min(box[2:]) < 0 or (min(box[2:]) == 0 and not may_be_empty):
        return f"has bbox {box!r} of zero area; correct its width and height, or remove it"
    return None


def segmentation_problem(segmentation: Any, size: tuple[int, int]) -> str | None:
    """Return what is wrong with polygons or an RLE for an image of `size` (H, W), or None."""
    if isinstance(segmentation, dict):
        return rle_problem(segmentation, size)
    if segmentation == []:  # as tools for detection write all of them
        return (
            "has an empty segmentation, so no mask; draw its outline, or let `pointrend-repro data "
            "mend --drop-empty` take it out"
        )
    if not isinstance(segmentation, list):
        return "has a segmentation that is neither polygons nor RLE; correct it"
    for polygon in segmentation:
        if not isinstance(polygon, list) or not math.isfinite(_length(polygon)):
            return (
                "has a polygon that is not a list of finite numbers [x, y, x, y, ...]; correct it"
            )
        if is_far_out(polygon):
            return (
                f"has a polygon with a coordinate of {max(polygon, key=abs)}, beyond the "
                f"{FARTHEST_PX} pixels of any image; correct or remove it"
            )
        if len(polygon) % 2:
            return f"has a polygon with an odd number of coordinates, {len(polygon)}; correct it"
        if len(polygon) < MIN_COORDINATES:
            return f"has a polygon of fewer than 3 points, {polygon}; correct or remove it"
    return None


def is_far_out(polygon: Sequence[float]) -> bool:
    """Return whether a polygon x, y, x, y, ... reaches farther than pycocotools can follow it."""
    return _length(polygon) > FARTHEST_PX and max(map(abs, polygon)) > FARTHEST_PX


def _all_finite(numbers: list[Any]) -> bool:
    return math.isfinite(_length(numbers))


def _length(numbers: Sequence[Any]) -> float:
    """Return the root of the sum of squares: no number is larger. NaN if one is no number."""
    # One call in C instead of a test for each of COCO's tens of millions of coordinates: NaN and
    # infinity propagate through it, and anything that is not a number raises.
    try:
        return math.hypot(*numbers)
    except TypeError:
        return math.nan
