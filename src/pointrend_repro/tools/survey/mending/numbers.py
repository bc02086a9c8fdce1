"""Sizes and coordinates written as text, or with a decimal point where none belongs."""

import math
from typing import Any

from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended, mend_each

_SIZES = "sizes of images as text or with a decimal point"
_COORDINATES = "boxes, outlines, areas and keypoints as text"
_CROWD = "iscrowd as text or null"


def as_numbers(document: Document) -> Mended:
    """Write numbers as JSON numbers; ids are corrected elsewhere."""
    images = mend_each(document, "images", _image)
    return images.then(lambda d: mend_each(d, "annotations", _coordinates)).then(
        lambda d: mend_each(d, "annotations", _crowd)
    )


def number_in(text: Any) -> Any:
    """Return the finite number that a text stands for; anything else unchanged."""
    if not isinstance(text, str):
        return text
    try:
        value: int | float = int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def whole_number_in(value: Any) -> Any:
    """Return the whole number that a text or float stands for; anything else unchanged."""
    number = number_in(value)
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number if type(number) is int else value


def _image(entry: Entry) -> tuple[Entry, str | None]:
    changes = {}
    for key in ("width", "height"):
        value = entry.get(key)
        number = whole_number_in(value)
        if type(number) is not type(value):
            changes[key] = number
    return (entry | changes, _SIZES) if changes else (entry, None)


def _coordinates(entry: Entry) -> tuple[Entry, str | None]:
    changes = {}
    for key in ("bbox", "segmentation", "area", "keypoints"):
        value = entry.get(key)
        if _has_text(value):
            numbers = _numbers_in(value)
            if numbers != value:
                changes[key] = numbers
    rle = entry.get("segmentation")
    if isinstance(rle, dict) and (parts := _rle_parts(rle)):
        changes["segmentation"] = rle | parts
    return (entry | changes, _COORDINATES) if changes else (entry, None)


def _rle_parts(rle: Entry) -> Entry:
    """Return what changes in an RLE; compressed counts are text that is no number."""
    lists = {key: rle[key] for key in ("size", "counts") if isinstance(rle.get(key), list)}
    numbers = {
        key: [whole_number_in(value) if isinstance(value, str) else value for value in values]
        for key, values in lists.items()
        if _has_text(values)
    }
    return {key: values for key, values in numbers.items() if values != lists[key]}


def _has_text(value: Any) -> bool:
    if isinstance(value, list):
        try:
            sum(value)  # a single call in C for numbers, which nearly all are
        except TypeError:
            return any(_has_text(item) for item in value)
        return False
    return isinstance(value, str)


def _numbers_in(value: Any) -> Any:
    return [_numbers_in(item) for item in value] if isinstance(value, list) else number_in(value)


def _crowd(entry: Entry) -> tuple[Entry, str | None]:
    if "iscrowd" not in entry:
        return entry, None
    value = entry["iscrowd"]
    number = 0 if value is None else whole_number_in(value)
    if isinstance(value, str | None) and number in (0, 1):
        return entry | {"iscrowd": number}, _CROWD
    return entry, None
