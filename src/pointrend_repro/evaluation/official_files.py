"""Reads the two input files of a COCO or LVIS scorer, with errors that name the entry.

The scorers themselves react to a faulty entry with a KeyError, or with a meaningless number.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.json_text import is_finite, shown

Entry = dict[str, Any]


def read_ground_truth(path: Path, required: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Read annotations and require the keys that the scorer will use.

    Args:
        path: annotations in COCO's or LVIS's format.
        required: for `images`, `annotations` and `categories`, the keys of each of their entries.

    Raises:
        UserError: the file cannot be read, or a list or key is missing.
    """
    content = read_json(path, allow_nan=True)
    for name, keys in required.items():
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise UserError(f"{path}: has no list {name!r}; give the official annotations")
        for index, entry in enumerate(entries):
            where = f"{path}: {name}[{index}]"
            _require_keys(entry, keys, where)
            if "area" in keys and not is_finite(entry["area"]):
                raise UserError(f"{where}: area is {shown(entry['area'])}; write a finite number")
    return content


def require_prediction(entry: Any, path: Path, index: int) -> None:
    """Refuse anything but an instance prediction in COCO's results format.

    Args:
        entry: from the file.
        path: the file, for the message.
        index: of the entry, from 0.

    Raises:
        UserError: a key is missing, or its value is invalid.
    """
    where = f"{path}: prediction {index} (from 0)"
    require_scored(entry, ("segmentation",), where)
    _check_values(entry, where)


def require_scored(entry: Any, keys: tuple[str, ...], where: str) -> None:
    """Refuse anything but a prediction with a score and these keys, whose values are not checked.

    Raises:
        UserError: a key is missing, or its value is invalid; the message begins with `where`.
    """
    _require_keys(entry, ("image_id", "category_id", "score", *keys), where)
    for key in ("image_id", "category_id"):
        if type(entry[key]) is not int:
            raise UserError(f"{where}: {key} is {shown(entry[key])}; write a whole number")
    if not is_finite(entry["score"]):
        raise UserError(f"{where}: score is {shown(entry['score'])}; write a finite number")


def _require_keys(entry: Any, keys: tuple[str, ...], where: str) -> None:
    for key in keys:
        if not isinstance(entry, dict) or key not in entry:
            raise UserError(f"{where}: has no {key!r}; add it")


def _check_values(entry: Entry, where: str) -> None:
    rle = entry["segmentation"]
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
    box = entry.get("bbox", [0.0] * 4)
    if not isinstance(box, list) or len(box) != 4 or not all(is_finite(value) for value in box):
        raise UserError(
            f"{where}: bbox is {shown(box)}; write four finite numbers [x, y, width, height]"
        )


def require_keypoints(entry: Any, path: Path, index: int, count: int) -> None:
    """Refuse anything but a prediction of keypoints in COCO's results format.

    Args:
        entry: from the file.
        path: the file, for the message.
        index: of the entry, from 0.
        count: how many keypoints it has to have.

    Raises:
        UserError: a key is missing, or its value is invalid.
    """
    where = f"{path}: prediction {index} (from 0)"
    if isinstance(entry, dict) and "keypoints" not in entry:
        raise UserError(
            f"{where}: has no 'keypoints'; give predictions of a model with a keypoint_head"
        )
    require_scored(entry, ("keypoints",), where)
    points = entry["keypoints"]
    if not isinstance(points, list) or not all(map(is_finite, points)):
        raise UserError(
            f"{where}: keypoints must be a list of finite numbers [x, y, score, ...]; correct it"
        )
    if len(points) != 3 * count:
        raise UserError(
            f"{where}: has {len(points)} numbers in keypoints, but the ground truth has {count} "
            "keypoints; write three for each, [x, y, score, ...]"
        )
