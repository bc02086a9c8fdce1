"""Proposals that another model has made: a file in COCO's results format, read by image."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json

Boxes = NDArray[np.float32]


def read_proposals(path: Path, *, at_most: int | None = None) -> Mapping[int, Boxes]:
    """Return the boxes of each image by its id, (P, 4) xyxy in its pixels, highest score first.

    Classes and masks do not count. An image without an entry is not in the mapping.

    Args:
        at_most: how many of an image's boxes to keep; none: all.

    Raises:
        UserError: the file is missing or damaged, or an entry has no image, box or score.
    """
    found: dict[int, list[tuple[float, ...]]] = {}
    for number, entry in enumerate(_entries(path)):
        image, row = _row(path, number, entry)
        found.setdefault(image, []).append(row)
    return {image: _boxes(rows)[:at_most] for image, rows in found.items()}


def _entries(path: Path) -> Iterator[Any]:
    content = read_json(path)
    if not isinstance(content, list):
        raise UserError(f"{path}: not a list of results")
    yield from content


def _row(path: Path, number: int, entry: Any) -> tuple[int, tuple[float, ...]]:
    """Return an entry's image, and its score with its box as x, y, width and height."""
    try:
        image, score, box = entry["image_id"], entry["score"], entry["bbox"]
        row = tuple(map(float, (score, *box)))
        if type(image) is not int or len(row) != 5 or not np.isfinite(row).all():
            raise ValueError
        return image, row
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}: entry {number} has not an image_id, a score and a bbox of four numbers"
        ) from None


def _boxes(rows: list[tuple[float, ...]]) -> Boxes:
    table = np.array(rows, dtype=np.float64)
    x, y, width, height = table[np.argsort(-table[:, 0], kind="stable"), 1:].T
    return np.stack([x, y, x + width, y + height], axis=1).astype(np.float32)
