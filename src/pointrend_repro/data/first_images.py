"""The first images of a split, with their objects, as a file of annotations of its own."""

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
    content = read_json(annotations)
    entries = content if isinstance(content, dict) else {}
    if not all(isinstance(entries.get(name), list) for name in _LISTS):
        raise UserError(f"{annotations}: is no file of COCO annotations with {', '.join(_LISTS)}")
    images, objects = entries["images"], entries["annotations"]
    ids = sorted(_get(image, "id", annotations) for image in images)
    if len(ids) < count:
        raise UserError(
            f"{annotations}: has {len(ids)} images, fewer than the {count} of `val_first`"
        )
    kept = set(ids[:count])
    part = {
        "images": sorted((i for i in images if i["id"] in kept), key=lambda image: image["id"]),
        "annotations": [o for o in objects if _get(o, "image_id", annotations) in kept],
    }
    write_json(output, entries | part, indent=None)


_LISTS = ("images", "annotations", "categories")


def _get(entry: Any, key: str, path: Path) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    if type(value) is not int:
        raise UserError(f"{path}: an entry has no whole number as {key!r}")
    return value
