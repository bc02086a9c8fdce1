"""An official tool's matches in each image, stored in about 30 bytes per detection.

pycocotools and lvis keep, for each category, size and image, a dictionary with the matches of its
detections as 64-bit numbers: kilobytes per detection before the last image is matched. But their
`accumulate` only needs to know whether a detection is matched. So blocks of images are matched by
the tool, packed here, and returned to the tool in its own form, category by category.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.evaluation.bootstrap.average_precision import CategoryMatches

_Image = dict[str, Any]


class Keys(NamedTuple):
    """A tool's keys in its results for the detections and objects of one image."""

    scores: str
    ids: str
    matches: str
    ignored: str
    ignored_objects: str


COCO_FIELDS = Keys("dtScores", "dtIds", "dtMatches", "dtIgnore", "gtIgnore")
LVIS_FIELDS = Keys("dt_scores", "dt_ids", "dt_matches", "dt_ignore", "gt_ignore")


class _Packed(NamedTuple):
    """One category in the P images for which the tool has results, with D detections.

    Attributes:
        image: index of each image among all, (P,) int32.
        detections: how many it has, (P,) int32.
        objects: how many of its objects count, by size, (A, P) int32.
        scores: of detections, (D,) float64, image by image, falling in each.
        matched, ignored: bits for the T thresholds, by size, (A, ceil(T / 8), D) uint8.
    """

    image: NDArray[np.int32]
    detections: NDArray[np.int32]
    objects: NDArray[np.int32]
    scores: NDArray[np.float64]
    matched: NDArray[np.uint8]
    ignored: NDArray[np.uint8]


@dataclass
class MatchTable:
    """The matches of all images; the first size is all sizes.

    Attributes:
        keys: the tool's.
        images: names of the N images in the tool's order.
        categories: how many there are, K.
        sizes: how many there are, A.
        thresholds: of IoU, T.
    """

    keys: Keys
    images: tuple[str, ...]
    categories: int
    sizes: int
    thresholds: int
    _blocks: dict[int, list[_Packed]] = field(default_factory=lambda: defaultdict(list))
    _added: int = 0

    def add(self, found: Sequence[_Image | None], images: int) -> None:
        """Add the next images.

        Args:
            found: over categories, within each over sizes, within these over the images.
            images: how many images these are.
        """
        step = self.sizes * images
        for category in range(self.categories):
            part = found[category * step : (category + 1) * step]
            by_size = [part[size * images : (size + 1) * images] for size in range(self.sizes)]
            there = [index for index, image in enumerate(by_size[0]) if image is not None]
            if there:
                packed = self._pack([[row[index] for index in there] for row in by_size], there)
                self._blocks[category].append(packed)
        self._added += images

    def official(self, category: int) -> list[_Image | None]:
        """Return a category's matches in the tool's form: over sizes, then over all N images."""
        found: list[_Image | None] = [None] * (self.sizes * len(self.images))
        packed = self._of(category)
        if packed is None:
            return found
        matched, ignored = self._bits(packed.matched), self._bits(packed.ignored)
        ends = np.cumsum(packed.detections).tolist()
        for place, (image, end) in enumerate(zip(packed.image.tolist(), ends, strict=True)):
            own = slice(end - int(packed.detections[place]), end)
            for size in range(self.sizes):
                found[size * len(self.images) + image] = {
                    self.keys.scores: packed.scores[own],
                    self.keys.ids: np.arange(own.start, own.stop),
                    self.keys.matches: matched[size][:, own],
                    self.keys.ignored: ignored[size][:, own],
                    # Those that do not count are recorded nowhere.
                    self.keys.ignored_objects: np.zeros(packed.objects[size, place]),
                }
        return found

    def of_size(self, category: int, size: int) -> CategoryMatches:
        """Return a category's matches for one of the A sizes in the form that resampling needs.

        A detection that is ignored at every threshold counts nowhere and is left out.
        """
        objects = np.zeros(len(self.images), dtype=np.int64)
        packed = self._of(category)
        if packed is None:
            none = np.zeros((self.thresholds, 0), dtype=bool)
            return CategoryMatches(np.zeros(0, np.int64), np.zeros(0), none, none, objects)
        objects[packed.image] = packed.objects[size]
        own = slice(size, size + 1)
        ignored = self._bits(packed.ignored[own])[0]
        counts = ~ignored.all(axis=0)
        return CategoryMatches(
            image=np.repeat(packed.image, packed.detections).astype(np.int64)[counts],
            score=packed.scores[counts],
            matched=self._bits(packed.matched[own])[0][:, counts],
            ignored=ignored[:, counts],
            objects=objects,
        )

    def _pack(self, by_size: list[list[Any]], there: list[int]) -> _Packed:
        keys = self.keys
        counts = [len(image[keys.scores]) for image in by_size[0]]
        return _Packed(
            image=np.array(there, dtype=np.int32) + np.int32(self._added),
            detections=np.array(counts, dtype=np.int32),
            objects=np.array(
                [[_counted(image[keys.ignored_objects]) for image in row] for row in by_size],
                dtype=np.int32,
            ),
            scores=np.concatenate([image[keys.scores] for image in by_size[0]]).astype(float),
            matched=_packed_bits(by_size, keys.matches),
            ignored=_packed_bits(by_size, keys.ignored),
        )

    def _of(self, category: int) -> _Packed | None:
        blocks = self._blocks.get(category)
        if not blocks:
            return None
        columns = zip(*blocks, strict=True)
        return _Packed(*(np.concatenate(column, axis=-1) for column in columns))

    def _bits(self, packed: NDArray[np.uint8]) -> NDArray[np.bool_]:
        bits: NDArray[np.bool_] = np.unpackbits(packed, axis=1, count=self.thresholds).view(bool)
        return bits


def _counted(ignored: Any) -> int:
    return int(np.count_nonzero(np.asarray(ignored) == 0))


def _packed_bits(by_size: list[list[Any]], key: str) -> NDArray[np.uint8]:
    whole = [np.concatenate([image[key] != 0 for image in row], axis=1) for row in by_size]
    return np.packbits(np.stack(whole), axis=1)
