"""Cityscapes' label images: pairs each ground truth of the val split with its prediction, checked.

cityscapesscripts itself reacts to a fault by printing a line and ending the program.
"""

import bisect
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.cityscapes_classes import CLASSES, LAST_ID
from pointrend_repro.data.decoding import opened_picture

ID_COUNT = 1 + LAST_ID

# The 19 evaluated classes, by label id.
CLASS_NAMES: dict[int, str] = {each.id: each.name for each in CLASSES}

_TRUTH_ENDING = "_gtFine_labelIds.png"

LabelIds = npt.NDArray[np.uint8]


class LabelPair(NamedTuple):
    """The two label images of one photograph."""

    truth: Path
    prediction: Path


def find_pairs(ground_truth: Path, predictions: Path) -> list[LabelPair]:
    """Find the prediction of every image of the val split, as the official tool does.

    A prediction is a file below `predictions` whose name starts with the `<city>_<seq>_<frame>` of
    the ground truth and ends in `.png`. Other files there are ignored.

    Args:
        ground_truth: folder that holds gtFine/val/<city>/*_gtFine_labelIds.png.
        predictions: folder that holds label images, at any depth.

    Raises:
        UserError: there is no ground truth, or an image does not have exactly one prediction.
    """
    split = ground_truth / "gtFine" / "val"
    truths = sorted(split.glob(f"*/*{_TRUTH_ENDING}"))
    if not truths:
        raise UserError(
            f"{split}: has no <city>/*{_TRUTH_ENDING}; "
            "give the folder that holds Cityscapes' gtFine/"
        )
    if not predictions.is_dir():
        raise UserError(f"{predictions}: no such folder; give the folder of the predicted images")
    files = [
        (name, Path(folder, name))
        for folder, _, names in os.walk(predictions)
        for name in names
        if name.endswith(".png")
    ]
    files.sort()
    return [LabelPair(truth, _find_prediction(truth, files, predictions)) for truth in truths]


def image_name(pair: LabelPair) -> str:
    """Return the photograph's name, `<city>_<sequence>_<frame>`."""
    return pair.truth.name.removesuffix(_TRUTH_ENDING)


def read_pair(pair: LabelPair) -> tuple[LabelIds, LabelIds]:
    """Read ground truth and prediction.

    Returns:
        Label ids 0 to 33 of the ground truth and of the prediction, both (H, W).

    Raises:
        UserError: a file is not a complete PNG with a single channel of label ids, or the two
            differ in size.
    """
    truth, predicted = read_label_ids(pair.truth), read_label_ids(pair.prediction)
    if truth.shape != predicted.shape:
        raise UserError(
            f"{pair.prediction}: is {predicted.shape} pixels (height, width), but {pair.truth} is "
            f"{truth.shape}; predict at the image's full size"
        )
    return truth, predicted


def read_label_ids(path: Path) -> LabelIds:
    """Read an image of label ids, (H, W).

    Raises:
        UserError: the file is not a complete PNG with a single channel, or holds an unknown id.
    """
    with opened_picture(path, otherwise="not a whole PNG", advice="make it again") as image:
        is_png = image.format == "PNG"
        ids = np.asarray(image)
    if not is_png or ids.ndim != 2:
        raise UserError(
            f"{path}: not a PNG with a single channel; write label ids as an 8-bit grey PNG"
        )
    largest = int(ids.max())
    if largest >= ID_COUNT:
        raise UserError(
            f"{path}: {largest} is not a label id; write Cityscapes' label ids, 0 to "
            f"{ID_COUNT - 1} (road is 7), not train ids or colours"
        )
    return ids.astype(np.uint8, copy=False)


def _find_prediction(truth: Path, files: list[tuple[str, Path]], folder: Path) -> Path:
    """Find the file whose name starts with that of the image; `files` are sorted by name."""
    image = truth.name.removesuffix(_TRUTH_ENDING)
    first = bisect.bisect_left(files, (image,))
    behind = bisect.bisect_left(files, (image + chr(sys.maxunicode),))
    found = sorted(path for _, path in files[first:behind])
    if not found:
        raise UserError(f"{folder}: has no prediction {image}*.png; predict on all images of val")
    if len(found) > 1:
        raise UserError(
            f"{folder}: has {len(found)} predictions {image}*.png, such as {found[0]} and "
            f"{found[1]}; leave one for each image"
        )
    return found[0]
