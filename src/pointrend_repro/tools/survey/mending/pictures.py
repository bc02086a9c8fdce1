"""What image files say about themselves in their headers, without their pixels."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.decoding import opened_picture
from pointrend_repro.data.images import (
    is_deep,
    is_deep_colour,
    is_on_its_side,
    stored_size,
    upright_method,
)


@dataclass(frozen=True)
class Header:
    """An image's header.

    Attributes:
        stored: (width, height) in pixels as stored in the file.
        turn: what makes it upright, by its EXIF orientation; None if it is upright.
        deep: whether it has one channel of more than 8 bits, which is refused.
        deep_colour: whether it has several channels of 16 bits, of which the upper 8 are read.
    """

    stored: tuple[int, int]
    turn: Image.Transpose | None
    deep: bool
    deep_colour: bool = False

    @property
    def on_its_side(self) -> bool:
        """Whether turning it upright swaps width and height."""
        return is_on_its_side(self.turn)

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) in pixels of the upright image, which models see."""
        return self.stored[::-1] if self.on_its_side else self.stored


def read_headers(files: Iterable[Path]) -> dict[Path, Header]:
    """Read headers; files that are not images have none."""
    paths = list(dict.fromkeys(files))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = pool.map(_read_header, paths)
        return {path: h for path, h in zip(paths, headers, strict=True) if h is not None}


def _read_header(path: Path) -> Header | None:
    try:
        with opened_picture(path, otherwise="no picture", advice="") as image:
            deep, deep_colour = is_deep(image), is_deep_colour(image)
            return Header(stored_size(image), upright_method(image), deep, deep_colour)
    except UserError:
        return None
