"""Proposals that another model has made: a file in COCO's results format, read image by image.

A file is gone through once: each entry is checked, and where those of each image lie is kept. Then
an image's boxes are read again when somebody asks for them. So entries may be in any order, and a
file of many gigabytes takes little memory if those of an image follow each other in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, reading_errors
from pointrend_repro.base.json_list import (
    ListEntry,
    encoding_of,
    is_json_list,
    read_json_list,
)
from pointrend_repro.base.json_text import parse_json

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Proposals(Mapping[int, Boxes]):
    """The boxes of each image by its id, (P, 4) xyxy in its pixels, highest score first.

    Attributes:
        path: the file, which has to stay as it is.
        encoding: of its text.
        runs: by image, (first byte, byte after the last) of entries that follow each other.
        at_most: how many of an image's boxes count.
    """

    path: Path
    encoding: str
    runs: dict[int, list[tuple[int, int]]]
    at_most: int | None

    def __getitem__(self, image: int) -> Boxes:
        """Read the boxes of an image that has some."""
        rows = [_row(self.path, entry)[1] for entry in self._entries(self.runs[image])]
        return _boxes(rows)[: self.at_most]

    def __iter__(self) -> Iterator[int]:
        """The images that have boxes."""
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def of(self, image: int) -> Boxes:
        """Read the boxes of an image, which may have none."""
        return self[image] if image in self.runs else np.zeros((0, 4), dtype=np.float32)

    def _entries(self, runs: list[tuple[int, int]]) -> Iterator[Any]:
        with reading_errors(self.path), self.path.open("rb") as stream:
            for start, end in runs:
                stream.seek(start)
                text = stream.read(end - start).decode(self.encoding)
                yield from parse_json(f"[{text}]")


def read_proposals(path: Path, *, at_most: int | None = None) -> Proposals:
    """Find the boxes of each image in a file.

    Classes and masks do not count. An image without an entry is not in the mapping.

    Args:
        at_most: how many of an image's boxes to keep; none: all.

    Raises:
        UserError: the file is missing or damaged, or an entry has no image, box or score.
    """
    if not is_json_list(path):
        read_json(path)  # complains if it is no JSON at all
        raise UserError(f"{path}: not a list of results")
    runs: dict[int, list[tuple[int, int]]] = {}
    last: int | None = None
    for number, entry in enumerate(read_json_list(path)):
        image, _ = _row(path, entry.value, number)
        _add(runs.setdefault(image, []), entry, follows=image == last)
        last = image
    return Proposals(path, encoding_of(path), runs, at_most)


def _add(runs: list[tuple[int, int]], entry: ListEntry, *, follows: bool) -> None:
    end = entry.start + entry.length
    if follows:
        runs[-1] = (runs[-1][0], end)
    else:
        runs.append((entry.start, end))


def _row(path: Path, entry: Any, number: int | None = None) -> tuple[int, tuple[float, ...]]:
    """Return an entry's image, and its score with its box as x, y, width and height."""
    try:
        image, score, box = entry["image_id"], entry["score"], entry["bbox"]
        row = tuple(map(float, (score, *box)))
        if type(image) is not int or len(row) != 5 or not np.isfinite(row).all():
            raise ValueError
        return image, row
    except (KeyError, TypeError, ValueError):
        which = "an entry" if number is None else f"entry {number}"
        raise UserError(
            f"{path}: {which} has not an image_id, a score and a bbox of four numbers"
        ) from None


def _boxes(rows: list[tuple[float, ...]]) -> Boxes:
    table = np.array(rows, dtype=np.float64)
    x, y, width, height = table[np.argsort(-table[:, 0], kind="stable"), 1:].T
    return np.stack([x, y, x + width, y + height], axis=1).astype(np.float32)
