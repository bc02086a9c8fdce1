"""Image sizes that are absent, or those of the image before it is turned upright."""

from collections.abc import Iterator, Mapping
from typing import Any

from pointrend_repro.data.coco_checks import is_id, segmentation_problem
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

    Where an image lies on its side and its entry has that size or none, its objects were drawn on
    one or the other. An object that fits into only one of them shows which, for the whole file,
    since a tool always does the same. Objects drawn on the image on its side are turned with it,
    and so are those of images that are turned without a change of size.

    Args:
        headers: of the images, by their position in the document's list of images.
    """
    doubtful = {
        entry["id"]: header
        for place, header in headers.items()
        if _is_doubtful(entry := document["images"][place], header)
    }
    objects = [a for a in annotations_of(document) if _is_one_of(a.get("image_id"), doubtful)]
    frames = {_frame(a["segmentation"], doubtful[a["image_id"]]) for a in objects if _outline(a)}
    stored, upright = "stored" in frames, "upright" in frames
    if objects and stored == upright:
        certain = {
            place: header
            for place, header in headers.items()
            if not _is_doubtful(document["images"][place], header)
        }
        left = Mended(document, left=(_undecided_line(doubtful, contradict=stored),))
        return left.then(lambda d: _write_sizes(d, certain))

    turning = doubtful | _turned_in_place(document, headers) if stored else {}

    def turn(entry: Entry) -> tuple[Entry, str | None]:
        if not (_is_one_of(entry.get("image_id"), turning) and _outline(entry)):
            return entry, None
        return turned(entry, turning[entry["image_id"]]), _TURNED

    mirrored = [
        a
        for a in annotations_of(document)
        if _is_one_of(a.get("image_id"), turning) and sides_unknown(a, turning[a["image_id"]])
    ]
    return (
        _write_sizes(document, headers)
        .then(lambda d: mend_each(d, "annotations", turn))
        .then(lambda d: Mended(d, left=tuple(_sides_left(mirrored))))
    )


def _turned_in_place(document: Document, headers: Mapping[int, Header]) -> dict[int, Header]:
    """Return the images that are turned without a change of size, if one tool wrote the file.

    It did not if an image on its side has the size of the upright one.
    """
    entries = [(document["images"][place], header) for place, header in headers.items()]
    if any(h.stored != h.upright and not _is_doubtful(entry, h) for entry, h in entries):
        return {}
    return {
        entry["id"]: header
        for entry, header in entries
        if header.turn is not None and header.stored == header.upright and is_id(entry.get("id"))
    }


def _undecided_line(doubtful: Mapping[int, Header], *, contradict: bool) -> str:
    return (
        f"{len(doubtful)} images, such as image {next(iter(doubtful))}, have no size, or that of "
        "the picture before it is turned upright (EXIF), and their objects "
        f"{'contradict each other' if contradict else 'do not show'} on which they were drawn"
    )


def _sides_left(mirrored: list[Entry]) -> Iterator[str]:
    if mirrored:
        yield (
            f"{len(mirrored)} objects, such as annotation {mirrored[0].get('id')}, have keypoints "
            "that were drawn on a mirrored picture (EXIF): they are moved, but which of them is "
            "left and which right is unknown"
        )


def _write_sizes(document: Document, headers: Mapping[int, Header]) -> Mended:
    """Write the upright sizes of entries that have none, or that of the image on its side."""
    header_of = {id(document["images"][place]): header for place, header in headers.items()}

    def mend(entry: Entry) -> tuple[Entry, str | None]:
        header = header_of.get(id(entry))
        if header is None or not (_is_absent(entry) or _is_doubtful(entry, header)):
            return entry, None
        width, height = header.upright
        kind = _ABSENT if _is_absent(entry) else _SWAPPED
        return entry | {"width": width, "height": height}, kind

    return mend_each(document, "images", mend)


def _is_none(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and value <= 0)


def _is_absent(entry: Entry) -> bool:
    return all(_is_none(entry.get(key)) for key in ("width", "height"))


def _is_doubtful(entry: Entry, header: Header) -> bool:
    """Whether an image lies on its side, and its entry does not say that its tool knew."""
    stated = (entry.get("width"), entry.get("height"))
    return (
        type(entry.get("id")) is int
        and header.stored != header.upright
        and (stated == header.stored or _is_absent(entry))
    )


def _is_one_of(key: Any, doubtful: Mapping[int, Header]) -> bool:
    return type(key) is int and key in doubtful


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
