"""Image sizes that are absent, or those of the image before it is turned upright."""

from collections.abc import Iterator, Mapping
from typing import Any

from pointrend_repro.data.coco_checks import segmentation_problem
from pointrend_repro.data.drawn import extent
from pointrend_repro.tools.survey.mending.entries import (
    Document,
    Entry,
    Mended,
    annotations_of,
    mend_each,
)
from pointrend_repro.tools.survey.mending.keypoints import sides_unknown
from pointrend_repro.tools.survey.mending.pictures import Header
from pointrend_repro.tools.survey.mending.turning import turned

_ABSENT = "sizes of images that were absent"
_SWAPPED = "sizes of images before they are turned upright (EXIF)"
_TURNED = "objects drawn on images before they are turned upright (EXIF)"
_ROUNDING_PX = 1.0


def upright_sizes(document: Document, headers: Mapping[int, Header]) -> Mended:
    """Write the sizes of the upright images, which models see.

    Where an entry has the size of the image on its side, its objects were drawn on one or the
    other. An object that fits into only one of them shows which, for the whole file, since a tool
    always does the same. Objects drawn on the image on its side are turned with it.

    Args:
        headers: of the images, by their position in the document's list of images.
    """
    given = _absent_sizes(document, headers)
    swapped = {
        entry["id"]: header
        for place, header in headers.items()
        if _is_swapped(entry := given.document["images"][place], header)
    }
    objects = [a for a in annotations_of(document) if _is_one_of(a.get("image_id"), swapped)]
    frames = {_frame(a["segmentation"], swapped[a["image_id"]]) for a in objects if _outline(a)}
    stored, upright = "stored" in frames, "upright" in frames
    if swapped and (stored == upright) and (objects or stored):
        line = (
            f"{len(swapped)} images, such as image {next(iter(swapped))}, have the size of the "
            "picture before it is turned upright (EXIF), and their objects "
            f"{'contradict each other' if stored else 'do not show'} on which they were drawn"
        )
        return Mended(given.document, given.done, (line,))

    def size(entry: Entry) -> tuple[Entry, str | None]:
        if not _is_one_of(entry.get("id"), swapped):
            return entry, None
        width, height = swapped[entry["id"]].upright
        return entry | {"width": width, "height": height}, _SWAPPED

    def turn(entry: Entry) -> tuple[Entry, str | None]:
        if not (stored and _is_one_of(entry.get("image_id"), swapped) and _outline(entry)):
            return entry, None
        return turned(entry, swapped[entry["image_id"]]), _TURNED

    mirrored = [a for a in objects if stored and sides_unknown(a, swapped[a["image_id"]])]
    return (
        given.then(lambda d: mend_each(d, "images", size))
        .then(lambda d: mend_each(d, "annotations", turn))
        .then(lambda d: Mended(d, left=tuple(_sides_left(mirrored))))
    )


def _sides_left(mirrored: list[Entry]) -> Iterator[str]:
    if mirrored:
        yield (
            f"{len(mirrored)} objects, such as annotation {mirrored[0].get('id')}, have keypoints "
            "that were drawn on a mirrored picture (EXIF): they are moved, but which of them is "
            "left and which right is unknown"
        )


def _absent_sizes(document: Document, headers: Mapping[int, Header]) -> Mended:
    header_of = {id(document["images"][place]): header for place, header in headers.items()}

    def mend(entry: Entry) -> tuple[Entry, str | None]:
        header = header_of.get(id(entry))
        if header is None or not all(_is_none(entry.get(key)) for key in ("width", "height")):
            return entry, None
        width, height = header.upright
        return entry | {"width": width, "height": height}, _ABSENT

    return mend_each(document, "images", mend)


def _is_none(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and value <= 0)


def _is_swapped(entry: Entry, header: Header) -> bool:
    stated = (entry.get("width"), entry.get("height"))
    return (
        type(entry.get("id")) is int
        and header.on_its_side
        and stated == header.stored
        and stated != header.upright
    )


def _is_one_of(key: Any, swapped: Mapping[int, Header]) -> bool:
    return type(key) is int and key in swapped


def _outline(entry: Entry) -> bool:
    """Whether an annotation has polygons or an RLE at all, of any size."""
    value = entry.get("segmentation")
    if isinstance(value, dict):
        size = value.get("size")
        return isinstance(size, list) and len(size) == 2 and all(type(s) is int for s in size)
    return isinstance(value, list) and segmentation_problem(value, (1, 1)) is None


def _frame(segmentation: Any, header: Header) -> str | None:
    """The only one of the two images that an outline fits into: "stored", "upright", or None."""
    (width, height), (height_up, width_up) = header.stored, header.upright[::-1]
    if isinstance(segmentation, dict):
        sizes = {(height, width): "stored", (height_up, width_up): "upright"}
        return sizes.get(tuple(segmentation["size"]))
    x0, y0, x1, y1 = extent(segmentation, (1, 1)) or (0, 0, 0, 0)
    fits = {
        name: min(x0, y0) >= -_ROUNDING_PX and x1 <= w + _ROUNDING_PX and y1 <= h + _ROUNDING_PX
        for name, w, h in (("stored", width, height), ("upright", width_up, height_up))
    }
    only = [name for name, fit in fits.items() if fit]
    return only[0] if len(only) == 1 else None
