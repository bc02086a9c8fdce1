"""Reads the two input files of a COCO or LVIS scorer, with errors that name the entry.

The scorers themselves react to a faulty entry with a KeyError or an IndexError, or with a
meaningless number.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import is_finite, shown
from pointrend_repro.base.long_list import LongList, read_with_long_list
from pointrend_repro.data.coco_checks import (
    box_problem,
    reference_problem,
    segmentation_problem,
    size_problem,
    twice_problem,
    type_problem,
)
from pointrend_repro.data.whole_runs import WholeRuns

Entry = dict[str, Any]
Required = Mapping[str, tuple[str, ...]]
"""Keys of each entry of `images`, `annotations` and `categories`; without a list, it is not read.

Those of images are `id`, `height` and `width`, at least, and of annotations `image_id`, `bbox` and
`area`. Those of categories but `id` are texts.
"""

_MASKS_AT_ONCE = 4096


def read_ground_truth(path: Path, required: Required) -> dict[str, Any]:
    """Read annotations, and require what the scorer will use.

    Args:
        path: annotations in COCO's or LVIS's format.
        required: what each of its entries needs.

    Returns:
        The file's content; `annotations` stay in the file.

    Raises:
        UserError: the file cannot be read, a list or key is missing, or a value is faulty.
    """
    content: dict[str, Any] = read_with_long_list(path, "annotations", allow_nan=True)
    require_entries(content, path, required)
    return content


def require_entries(content: Any, path: Path, required: Required) -> None:
    """Require keys of the entries of annotations, and sound values where scorers use them.

    Scorers leave out objects of an image or class that is not listed, which raises AP.

    Args:
        content: of the file.
        path: the file, for the message.
        required: as for `read_ground_truth`.

    Raises:
        UserError: a list or key is missing, or a value is faulty.
    """
    ids: dict[str, set[int]] = {}
    for name in ("images", "categories"):
        if name in required:
            ids[name] = _require_listed(content, name, required[name], path)
    if "annotations" not in required:
        return
    keys = required["annotations"]
    categories = ids["categories"] if "category_id" in keys else None
    masks = _Masks(content, path) if "segmentation" in keys else None
    for index, entry in enumerate(_entries(content, "annotations", path)):
        where = f"{path}: annotations[{index}]"
        _require_keys(entry, keys, where)
        problem = reference_problem(entry, ids["images"], categories)
        problem = problem or box_problem(entry["bbox"], may_be_empty=True)
        if problem is not None:
            raise UserError(f"{where}: {problem}")
        if not (is_finite(entry["area"]) and entry["area"] >= 0):
            # The scorers leave out objects of a negative area without a word.
            raise UserError(
                f"{where}: area is {shown(entry['area'])}; write the pixels of the mask"
            )
        if masks is not None:
            masks.check(entry, index)
    if masks is not None:
        masks.finish()


def require_masks_drawn(content: dict[str, Any], path: Path) -> None:
    """Require a mask that scorers can draw of each annotation of `read_ground_truth`.

    Raises:
        UserError: there is none, or it cannot be drawn.
    """
    masks = _Masks(content, path)
    for index, entry in enumerate(content["annotations"]):
        _require_keys(entry, ("segmentation",), f"{path}: annotations[{index}]")
        masks.check(entry, index)
    masks.finish()


class _Masks:
    """Refuses objects' masks that scorers cannot draw."""

    def __init__(self, content: dict[str, Any], path: Path) -> None:
        images = content["images"]
        self._sizes = {image["id"]: (image["height"], image["width"]) for image in images}
        self._runs = WholeRuns(lambda index: f"{path}: annotations[{index}]", _MASKS_AT_ONCE)
        self._path = path

    def check(self, entry: Entry, index: int) -> None:
        """Look at an object's mask, or keep it to look at several at once."""
        mask, size = entry["segmentation"], self._sizes[entry["image_id"]]
        if _is_compressed(mask) and mask["size"] == list(size):
            self._runs.add(index, mask)
        elif problem := segmentation_problem(mask, size):
            raise UserError(f"{self._path}: annotations[{index}]: {problem}")

    def finish(self) -> None:
        """Look at those that were kept."""
        self._runs.finish()


def _entries(content: Any, name: str, path: Path) -> Collection[Any]:
    entries = content.get(name) if isinstance(content, dict) else None
    if not isinstance(entries, list | LongList):
        raise UserError(f"{path}: has no list {name!r}; give the official annotations")
    return entries


def _require_listed(content: Any, name: str, keys: tuple[str, ...], path: Path) -> set[int]:
    """Check images or categories, and return their ids."""
    found: set[int] = set()
    for index, entry in enumerate(_entries(content, name, path)):
        where = f"{path}: {name}[{index}]"
        _require_keys(entry, keys, where)
        if name == "images":
            problem = size_problem(entry, found)
        else:
            types: dict[str, type] = {key: int if key == "id" else str for key in keys}
            problem = type_problem(entry, types) or twice_problem(entry, found, "category")
        if problem is not None:
            raise UserError(f"{where}: {problem}")
        found.add(entry["id"])
    return found


def require_prediction(entry: Any, path: Path, index: int) -> None:
    """Refuse anything but an instance prediction in COCO's results format.

    It has a mask, a box or keypoints. `WholeRuns` says whether the mask is whole.

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


def _is_compressed(rle: Any) -> bool:
    return (
        isinstance(rle, dict)
        and isinstance(rle.get("counts"), str)
        and isinstance(rle.get("size"), list)
        and [type(side) for side in rle["size"]] == [int, int]
        and min(rle["size"]) > 0
    )


def _check_mask(rle: Any, where: str) -> None:
    if not _is_compressed(rle):
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
