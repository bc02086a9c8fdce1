"""Keypoints move with the outlines of their objects, and are counted again."""

from collections.abc import Callable
from typing import Any

from PIL import Image

from pointrend_repro.base.json_text import is_finite
from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended, mend_each
from pointrend_repro.tools.survey.mending.pictures import Header

_COUNTED = "numbers of keypoints that disagreed with their visibilities"

_MIRRORED = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)


def moved(
    entry: Entry, move: Callable[[float, float], tuple[float, float]], *, was_index: bool = True
) -> Entry:
    """Return an annotation with its labelled keypoints moved, or as it is if it has none.

    Args:
        move: in the frame of outlines, where a pixel's index stands for its middle.
        was_index: whether they were such indices before, too; otherwise in the frame of outlines.
    """
    values: Any = entry.get("keypoints")
    if not _are_triples(values):
        return entry
    points: list[float] = []
    middle = 0.5 if was_index else 0.0
    for x, y, flag in zip(values[::3], values[1::3], values[2::3], strict=True):
        if flag:
            x, y = (round(max(number - 0.5, 0.0), 4) for number in move(x + middle, y + middle))
        points += (x, y, flag)
    return entry | {"keypoints": points}


def in_fractions(entry: Entry) -> bool:
    """Whether an annotation's labelled keypoints, of which there are some, lie in [0, 1]."""
    values: Any = entry.get("keypoints")
    if not _are_triples(values) or not any(values[2::3]):
        return False
    triples = zip(values[::3], values[1::3], values[2::3], strict=True)
    return all(0 <= x <= 1 and 0 <= y <= 1 for x, y, flag in triples if flag)


def counted(document: Document) -> Mended:
    """Count labelled keypoints again: `num_keypoints` says nothing that the visibilities do not."""

    def mend(entry: Entry) -> tuple[Entry, str | None]:
        values: Any = entry.get("keypoints")
        if "num_keypoints" not in entry or not _are_triples(values):
            return entry, None
        labelled = sum(flag > 0 for flag in values[2::3])
        if entry["num_keypoints"] == labelled and type(entry["num_keypoints"]) is int:
            return entry, None
        return entry | {"num_keypoints": labelled}, _COUNTED

    return mend_each(document, "annotations", mend)


def sides_unknown(entry: Entry, header: Header) -> bool:
    """Whether an object's keypoints were named in a mirrored picture, left perhaps for right."""
    values: Any = entry.get("keypoints")
    return header.turn in _MIRRORED and _are_triples(values) and any(values[2::3])


def _are_triples(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) > 0
        and len(values) % 3 == 0
        and all(map(is_finite, values))
    )
