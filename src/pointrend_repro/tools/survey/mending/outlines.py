"""Polygons in other forms of lists than COCO's [[x, y, x, y, ...], ...]."""

from typing import Any

from pointrend_repro.data.coco_checks import MIN_COORDINATES
from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended, mend_each

_FLAT = "outlines as one list of numbers"
_PAIRS = "outlines as points [x, y]"
_NESTED = "outlines in too many brackets"
_SHORT = "parts of outlines with fewer than three points"


def as_polygons(document: Document) -> Mended:
    """Write all polygons as lists of lists of numbers, in the same order."""
    return mend_each(document, "annotations", _shape).then(
        lambda d: mend_each(d, "annotations", _drop_short)
    )


def _shape(entry: Entry) -> tuple[Entry, str | None]:
    value = entry.get("segmentation")
    if not isinstance(value, list) or _are_polygons(value):
        return entry, None
    kind = _FLAT if _is_flat(value) else _PAIRS if _has_points(value) else _NESTED
    polygons = _polygons_in(value)
    if not _are_polygons(polygons):
        return entry, None
    return entry | {"segmentation": polygons}, kind


def _are_polygons(value: list[Any]) -> bool:
    return bool(value) and all(map(_is_flat, value)) and not _are_points(value)


def _polygons_in(value: Any) -> list[Any]:
    """The polygons in lists of any depth; anything else unchanged."""
    if _are_points(value):
        return [[number for point in value for number in _coordinates(point)]]
    if _is_flat(value) or not isinstance(value, list):
        return [value]
    return [polygon for part in value for polygon in _polygons_in(part)]


def _has_points(value: Any) -> bool:
    if _are_points(value):
        return True
    return isinstance(value, list) and any(_has_points(part) for part in value)


def _are_points(value: Any) -> bool:
    """Whether it is a list of at least three points, which no list of polygons can be."""
    return isinstance(value, list) and len(value) >= 3 and all(map(_coordinates, value))


def _coordinates(point: Any) -> list[float]:
    """[x, y] of a point; empty for anything else."""
    if isinstance(point, dict) and point.keys() == {"x", "y"}:
        point = [point["x"], point["y"]]
    return point if _is_flat(point) and len(point) == 2 else []


def _is_flat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _drop_short(entry: Entry) -> tuple[Entry, str | None]:
    value = entry.get("segmentation")
    if not isinstance(value, list) or not all(isinstance(part, list) for part in value):
        return entry, None
    whole = [part for part in value if len(part) >= MIN_COORDINATES]
    if not whole or len(whole) == len(value):
        return entry, None
    return entry | {"segmentation": whole}, _SHORT
