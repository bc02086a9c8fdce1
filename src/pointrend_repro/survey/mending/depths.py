"""Pictures of 12 or 16 bits a channel, which become pictures of 8.

The range is one for all pictures of a folder, so that what is brighter stays brighter from one to
the next: from 0 to 2^n - 1 with the smallest n, from 8 to 16, that holds the brightest pixel of
all. Of 12 bits in a file of 16, as cameras and microscopes write, n is 12.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from pointrend_repro.data.images import upright_method

# Pillow writes 8-bit grey in these without loss; the name of the file stays.
_FORMATS = {"PNG", "TIFF", "PPM", "JPEG2000"}
_MAX_BITS = 16


def common_bits(paths: Sequence[Path]) -> tuple[int, list[Path], tuple[str, ...]]:
    """Look for the brightest pixel of deep pictures.

    Returns:
        The bits that hold it, the pictures that can be converted, and a line for each other.
    """
    if not paths:
        return 8, [], ()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(_brightest, paths)
        ranges = list(track(looked, "brightness", total=len(paths), console=Console(stderr=True)))
    good = [path for path, found in zip(paths, ranges, strict=True) if isinstance(found, int)]
    left = [f"{path}: {f}" for path, f in zip(paths, ranges, strict=True) if isinstance(f, str)]
    brightest = max((found for found in ranges if isinstance(found, int)), default=0)
    return max(8, brightest.bit_length()), good, tuple(left)


def to_8_bits(pixels: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Return pixels (H, W) of 0 to 2^bits - 1 as 0 to 255, rounded."""
    table = np.rint(np.arange(2**bits) * (255 / (2**bits - 1))).astype(np.uint8)
    return table[pixels]


def write_8_bits(source: Path, target: Path, bits: int) -> None:
    """Write a deep picture upright, in 8 bits, in the format that it has."""
    with Image.open(source) as image:
        turn, kind = upright_method(image), image.format
        grey = Image.fromarray(to_8_bits(np.asarray(image).astype(np.int64), bits))
    (grey if turn is None else grey.transpose(turn)).save(target, format=kind)


def _brightest(path: Path) -> int | str:
    """The largest value of a picture, or why it cannot be converted."""
    try:
        with Image.open(path) as image:
            if image.format not in _FORMATS:
                return f"is of format {image.format} with more than 8 bits; convert it to 8 bits"
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"not a whole image ({error})"
    if pixels.dtype.kind == "f" or pixels.min() < 0 or int(pixels.max()).bit_length() > _MAX_BITS:
        return (
            f"has values from {pixels.min()} to {pixels.max()}, of which nothing says what is "
            "black and what is white; convert it to 8 bits"
        )
    return int(pixels.max())
