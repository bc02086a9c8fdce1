"""The first images of a split, with their objects, as a file of annotations of its own."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json


def prepare_first_images(annotations: Path, count: int, output: Path) -> None:
    """Write COCO annotations of the first images of a file, by rising id.

    This is how SharpMask's authors take "the first 5k COCO validation images" (`evalPerImage.lua`
    at facebookresearch/deepmask 280a716b goes over the sorted ids of val2014).

    Args:
        output: the same annotations give the same bytes.

    Raises:
        UserError: the file cannot be read, has no such lists, or fewer images.
    """
    content, ids = read_lists(annotations)
    if len(ids) < count:
        raise UserError(
            f"{annotations}: has {len(ids)} images, fewer than the {count} of `val_first`"
        )
    write_json(output, part_of(content, set(ids[:count])), indent=None)


_LISTS = ("images", "annotations", "categories")


def read_lists(annotations: Path) -> tuple[dict[str, Any], list[int]]:
    """Return the content of COCO annotations, and the sorted ids of their images.

    Raises:
        UserError: the file cannot be read, has no such lists, an entry without an id, or an
            annotation of an image that is not listed: it would be in no part.
    """
    content = read_json(annotations)
    entries = content if isinstance(content, dict) else {}
    if not all(isinstance(entries.get(name), list) for name in _LISTS):
        raise UserError(f"{annotations}: is no file of COCO annotations with {', '.join(_LISTS)}")
    ids = sorted(_get(image, "id", annotations) for image in entries["images"])
    named = [_get(entry, "image_id", annotations) for entry in entries["annotations"]]
    listed = set(ids)
    if absent := sorted(set(named) - listed):
        lost = sum(number not in listed for number in named)
        raise UserError(
            f"{annotations}: an annotation names image {absent[0]}, which is not listed; list it "
            f"under 'images', or remove the annotation (such annotations in all: {lost})"
        )
    return entries, ids


def part_of(content: dict[str, Any], ids: Collection[int]) -> dict[str, Any]:
    """Return the annotations of some images, these by rising id."""
    images = [image for image in content["images"] if image["id"] in ids]
    return content | {
        "images": sorted(images, key=lambda image: image["id"]),
        "annotations": [entry for entry in content["annotations"] if entry["image_id"] in ids],
    }


def _get(entry: Any, key: str, path: Path) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    if type(value) is not int:
        raise UserError(f"{path}: an entry has no whole number as {key!r}")
    return value
