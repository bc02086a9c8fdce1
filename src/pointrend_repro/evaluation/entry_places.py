"""Where the entries of each image lie in a JSON file, in 16 bytes an entry, to read them again."""

import functools
from array import array
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.files import reading_errors
from pointrend_repro.base.json_list import encoding_of
from pointrend_repro.base.json_pieces import ListEntry
from pointrend_repro.base.json_text import parse_json
from pointrend_repro.evaluation.columns import Column
from pointrend_repro.evaluation.official_files import Entry

_Ints = NDArray[np.int64]


class EntryPlaces:
    """The places of a list's N entries, in the order of the file.

    Attributes:
        path: the file.
        image: each entry's `image_id`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.image = Column()
        self._encoding = encoding_of(path)
        self._start, self._length = array("q"), array("i")

    def add(self, found: ListEntry) -> None:
        """Add the next entry; all are added before the first is read again."""
        self._start.append(found.start)
        self._length.append(found.length)
        self.image.append(found.value["image_id"])

    def __len__(self) -> int:
        return len(self._start)

    def count(self, image_ids: Collection[int]) -> int:
        """Return how many entries some images have."""
        return sum(len(self._indices.get(image_id, ())) for image_id in image_ids)

    def read(self, image_ids: Sequence[int]) -> list[tuple[int, Entry]]:
        """Read the entries of some images, image by image, in the file's order, with their indices.

        Raises:
            UserError: the file can no longer be read.
        """
        found: list[tuple[int, Entry]] = []
        with reading_errors(self.path), self.path.open("rb") as stream:
            for image_id in image_ids:
                indices = self._indices.get(image_id)
                if indices is not None:
                    found += zip(indices.tolist(), self._at(indices, stream), strict=True)
        return found

    def _at(self, indices: _Ints, stream: BinaryIO) -> list[Entry]:
        texts = []
        for run in np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1):
            first, last = int(run[0]), int(run[-1])
            start, end = self._start[first], self._start[last] + self._length[last]
            stream.seek(start)
            texts.append(stream.read(end - start).decode(self._encoding))
        entries: list[Entry] = parse_json(f"[{','.join(texts)}]", allow_nan=True)
        return entries

    @functools.cached_property
    def _indices(self) -> dict[int, _Ints]:
        """Indices of each image's entries, in the order of the file."""
        codes = self.image.codes
        order = np.argsort(codes, kind="stable")
        counts = np.bincount(codes, minlength=len(self.image.values))
        starts = np.cumsum(counts) - counts
        return {
            image_id: order[start : start + count]
            for image_id, start, count in zip(self.image.values, starts, counts, strict=True)
        }
