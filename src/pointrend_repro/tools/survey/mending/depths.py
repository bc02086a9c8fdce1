"""Converts images of 12 or 16 bits per channel to 8 bits.

All images of a folder share one range, so that brighter images stay brighter than others: from 0 to
2^n - 1 with the smallest n, from 8 to 16, that holds the brightest pixel of all. For 12 bits stored
in 16, as cameras and microscopes write them, n is 12.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.decoding import opened_picture
from pointrend_repro.data.images import is_deep, is_on_its_side, open_rgb, upright_method

# Pillow writes 8 bits in these formats without loss; the file name stays.
_FORMATS = {"PNG", "TIFF", "PPM", "JPEG2000"}
MAX_BITS = 16

_Turn = Image.Transpose
# Whether the order of rows, and that of columns, is reversed, once those on their side are columns.
_REVERSED: dict[Image.Transpose | None, tuple[bool, bool]] = {
    _Turn.FLIP_LEFT_RIGHT: (False, True),
    _Turn.ROTATE_180: (True, True),
    _Turn.FLIP_TOP_BOTTOM: (True, False),
    _Turn.ROTATE_90: (True, False),
    _Turn.TRANSVERSE: (True, True),
    _Turn.ROTATE_270: (False, True),
}


def common_bits(paths: Sequence[Path]) -> tuple[int, list[Path], dict[Path, str]]:
    """Find the brightest value of deep images.

    Returns:
        The bits that hold it, the images that can be converted, and why the others cannot.
    """
    if not paths:
        return 8, [], {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(_brightest, paths)
        ranges = list(track(looked, "brightness", total=len(paths), console=Console(stderr=True)))
    found = dict(zip(paths, ranges, strict=True))
    values = {path: value for path, value in found.items() if isinstance(value, int)}
    left = {path: f"{path}: {value}" for path, value in found.items() if isinstance(value, str)}
    return max(8, max(values.values(), default=0).bit_length()), list(values), left


def to_8_bits(pixels: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Map values of 0 to 2^bits - 1 to 0 to 255, rounded; any shape."""
    table = np.rint(np.arange(2**bits) * (255 / (2**bits - 1))).astype(np.uint8)
    return table[pixels]


def write_8_bits(source: Path, target: Path, bits: int) -> None:
    """Write a deep image upright, with 8 bits, in its own format."""
    with opened_picture(source, otherwise="not a whole image", advice="fetch it again") as image:
        kind, values = image.format, _values(image, source)
    Image.fromarray(to_8_bits(values, bits)).save(target, format=kind)


def _values(image: Image.Image, path: Path) -> NDArray[Any]:
    """The values of an open image, upright, (H, W) or RGB (H, W, 3)."""
    if is_deep(image):
        values = np.asarray(image)  # of a TIFF, Pillow turns them as it reads
        values = _turned(values, upright_method(image))
        return values.astype(np.int64) if values.dtype.kind in "iu" else values
    turn = upright_method(image)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # Pillow drops the lower 8 bits of colour
    if read is None or read.ndim != 3 or read.dtype != np.uint16:
        raise ValueError("its 16 bits cannot be read")
    values = np.ascontiguousarray(read[:, :, 2::-1])
    if turn is None:
        return values
    # OpenCV turns some files upright and others not; the upper 8 bits, as Pillow reads them, tell.
    upright = np.asarray(open_rgb(path))
    for found in (values, _turned(values, turn)):
        if np.array_equal(found >> 8, upright):
            return found
    raise ValueError("its 16 bits cannot be read")


def _turned(values: NDArray[Any], turn: Image.Transpose | None) -> NDArray[Any]:
    """Pillow's `transpose` for values that no mode of Pillow holds."""
    if is_on_its_side(turn):
        values = values.swapaxes(0, 1)
    down, right = _REVERSED.get(turn, (False, False))
    return np.ascontiguousarray(values[:: -1 if down else 1, :: -1 if right else 1])


def _brightest(path: Path) -> int | str:
    """The largest value of an image, or why it cannot be converted."""
    try:
        with opened_picture(path, otherwise="not a whole image", advice="fetch it again") as image:
            if image.format not in _FORMATS:
                return f"is of format {image.format} with more than 8 bits; convert it to 8 bits"
            values = _values(image, path)
    except UserError as error:
        return str(error).removeprefix(f"{path}: ")
    if values.dtype.kind == "f" or values.min() < 0 or int(values.max()).bit_length() > MAX_BITS:
        return (
            f"has values from {values.min()} to {values.max()}, of which nothing says what is "
            "black and what is white; convert it to 8 bits"
        )
    return int(values.max())
