"""Cuts a patch's pixels and an object's mask out of an image."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pointrend_repro.data.images import planes
from pointrend_repro.data.patch_places import Place
from pointrend_repro.data.segmentations import Segmentation, segmentation_mask

GREY = 128  # outside of the image; the authors' code has .5 of 1


def cut_pixels(image: Image.Image, place: Place, side: int) -> NDArray[np.uint8]:
    """Return the pixels (3, side, side) of a patch of an RGB image, grey where that ends.

    Resizing is bilinear and averages where the patch is coarser than the image.
    """
    rgb = _cut(image, place, side, (GREY,) * 3)
    return planes(np.asarray(rgb))


def cut_mask(
    segmentation: Segmentation, size: tuple[int, int], place: Place, side: int
) -> NDArray[np.bool_]:
    """Return an object's mask in a patch, (side, side).

    Polygons are scaled before they are drawn; a run-length encoding is resized.

    Args:
        size: (height, width) of the image.
        place: its scale is of pixels of the mask.
    """
    if isinstance(segmentation, list):
        left, top = (middle - place.scale * side / 2 for middle in (place.x, place.y))
        moved = [
            ((np.array(p).reshape(-1, 2) - (left, top)) / place.scale).ravel().tolist()
            for p in segmentation
        ]
        return segmentation_mask(moved, side, side)
    mask = segmentation_mask(segmentation, *size)
    cut = _cut(Image.fromarray(mask.astype(np.uint8) * 255), place, side, 0)
    return np.asarray(cut) > 127


def _cut(image: Image.Image, place: Place, side: int, fill: int | tuple[int, ...]) -> Image.Image:
    """Return a patch as an image, of which only the part within the image is resized."""
    patch = Image.new(image.mode, (side, side), fill)
    spans = [
        _visible(middle - place.scale * side / 2, place.scale, side, length)
        for middle, length in zip((place.x, place.y), image.size, strict=True)
    ]
    (first_x, last_x, left, right), (first_y, last_y, top, bottom) = spans
    if first_x >= last_x or first_y >= last_y:
        return patch
    reach = 2 * _reach(place.scale)
    whole = (
        math.floor(left - reach),
        math.floor(top - reach),
        math.ceil(right + reach),
        math.ceil(bottom + reach),
    )
    canvas = Image.new(image.mode, (whole[2] - whole[0], whole[3] - whole[1]), fill)
    canvas.paste(image, (-whole[0], -whole[1]))
    box = (left - whole[0], top - whole[1], right - whole[0], bottom - whole[1])
    size = (last_x - first_x, last_y - first_y)
    patch.paste(canvas.resize(size, Image.Resampling.BILINEAR, box=box), (first_x, first_y))
    return patch


def _visible(start: float, scale: float, side: int, length: int) -> tuple[int, int, float, float]:
    """Return which pixels of a patch see the image along an axis, and what they cover of it.

    Args:
        start: where the patch begins, in pixels of the image.
        length: of the image.

    Returns:
        The first pixel of the patch, the one after the last, and both edges in the image.
    """
    reach = _reach(scale)
    first = max(math.floor((-start - reach) / scale), 0)
    last = min(math.ceil((length - start + reach) / scale), side)
    return first, last, start + first * scale, start + last * scale


def _reach(scale: float) -> float:
    """Return how far a bilinear filter sees, in pixels of the image."""
    return max(scale, 1.0)
