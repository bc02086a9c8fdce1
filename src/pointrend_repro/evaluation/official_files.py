"""Reads the two input files of a COCO or LVIS scorer, with errors that name the entry.

The scorers themselves react to a faulty entry with a KeyError or an IndexError, or with a
meaningless number.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import is_finite, shown
from pointrend_repro.base.long_list import LongList, read_with_long_list
from pointrend_repro.data.coco_checks import segmentation_problem

Entry = dict[str, Any]


def read_ground_truth(path: Path, required: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Read annotations and require the keys that the scorer will use.

    Args:
        path: annotations in COCO's or LVIS's format.
        required: for `images`, `annotations` and `categories`, the keys of each of their entries.

    Returns:
        The file's content; `annotations` stay in the file.

    Raises:
        UserError: the file cannot be read, a list or key is missing, or a mask cannot be drawn.
    """
    content: dict[str, Any] = read_with_long_list(path, "annotations", allow_nan=True)
    require_entries(content, path, required)
    return content


def require_entries(content: Any, path: Path, required: Mapping[str, tuple[str, ...]]) -> None:
    """Require keys of the entries of annotations; arguments as for `read_ground_truth`.

    Masks are checked if they are required; the sizes of images then have to be there.

    Raises:
        UserError: a list or key is missing, or a mask cannot be drawn.
    """
    for name, keys in required.items():
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list | LongList):
            raise UserError(f"{path}: has no list {name!r}; give the official annotations")
        with_masks = "segmentation" in keys
        images = content["images"] if with_masks else ()
        sizes = {image["id"]: (image["height"], image["width"]) for image in images}
        for index, entry in enumerate(entries):
            where = f"{path}: {name}[{index}]"
            _require_keys(entry, keys, where)
            if "area" in keys and not (is_finite(entry["area"]) and entry["area"] >= 0):
                # The scorers leave out objects of a negative area without a word.
                raise UserError(
                    f"{where}: area is {shown(entry['area'])}; write the pixels of the mask"
                )
            if with_masks:
                _require_mask(entry, sizes, where)


def _require_mask(entry: Entry, sizes: Mapping[int, tuple[int, int]], where: str) -> None:
    """Refuse an object's mask that scorers cannot draw; no scorer reads those of other images."""
    size = sizes.get(entry["image_id"])
    problem = None if size is None else segmentation_problem(entry["segmentation"], size)
    if problem is not None:
        raise UserError(f"{where}: {problem}")


def require_prediction(entry: Any, path: Path, index: int) -> None:
    """Refuse anything but an instance prediction in COCO's results format.

    It has a mask, a box or keypoints.

    Args:
        entry: from the file.
        path: the file, for the message.
        index: of the entry, from 0.

    Raises:
        UserError: a key is missing, or its value is invalid.
    """
    where = f"{path}: prediction {index} (from 0)"
    _require_keys(entry, ("image_id", "category_id", "score"), where)
    if not any(key in entry for key in ("segmentation", "bbox", "keypoints")):
        raise UserError(f"{where}: has no 'segmentation'; add it, or a 'bbox' if it is of a box")
    _check_values(entry, where)
    if "segmentation" in entry:
        _check_mask(entry["segmentation"], where)
    if "keypoints" in entry:
        _check_keypoints(entry["keypoints"], where)


def _require_keys(entry: Any, keys: tuple[str, ...], where: str) -> None:
    for key in keys:
        if not isinstance(entry, dict) or key not in entry:
            raise UserError(f"{where}: has no {key!r}; add it")


def _check_values(entry: Entry, where: str) -> None:
    for key in ("image_id", "category_id"):
        if type(entry[key]) is not int:
            raise UserError(f"{where}: {key} is {shown(entry[key])}; write a whole number")
    if not is_finite(entry["score"]):
        raise UserError(f"{where}: score is {shown(entry['score'])}; write a finite number")
    box = entry.get("bbox", [0.0] * 4)
    if not isinstance(box, list) or len(box) != 4 or not all(is_finite(value) for value in box):
        raise UserError(
            f"{where}: bbox is {shown(box)}; write four finite numbers [x, y, width, height]"
        )


def _check_mask(rle: Any, where: str) -> None:
    if (
        not isinstance(rle, dict)
        or not isinstance(rle.get("counts"), str)
        or not isinstance(rle.get("size"), list)
        or [type(side) for side in rle["size"]] != [int, int]
    ):
        raise UserError(
            f"{where}: segmentation must be a compressed RLE "
            '{"size": [height, width], "counts": text}'
        )


def _check_keypoints(points: Any, where: str) -> None:
    if not isinstance(points, list) or len(points) % 3 or not all(map(is_finite, points)):
        raise UserError(
            f"{where}: keypoints must be a list of finite numbers [x, y, score, ...], three for "
            "each; correct it"
        )
