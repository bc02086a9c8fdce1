"""Which objects patches are drawn around, and how one is chosen."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.data.coco import Annotation, ImageRecord
from pointrend_repro.data.drawn import object_fault
from pointrend_repro.data.patch_places import Place, canonical_place
from pointrend_repro.data.segmentations import segmentation_area
from pointrend_repro.settings.of_family import AnyTrainingSettings

# Smaller objects are not learned from (authors' code, DataSampler.lua).
_MIN_SIDE_PX = 5
_MIN_AREA_PX = 100


def is_learned(annotation: Annotation) -> bool:
    """Return whether an object can be in the middle of a positive: no crowd, and not tiny."""
    x0, y0, x1, y1 = annotation.box
    if annotation.is_crowd or min(x1 - x0, y1 - y0) < _MIN_SIDE_PX:
        return False
    return segmentation_area(annotation.segmentation) >= _MIN_AREA_PX


def learned_objects(record: ImageRecord) -> list[Annotation]:
    """Return the objects of an image that positives are drawn around."""
    return [annotation for annotation in record.annotations if is_learned(annotation)]


def has_learned_object(record: ImageRecord, _: AnyTrainingSettings) -> bool:
    """Return whether an image has such an object; others are left out of training."""
    return any(is_learned(annotation) for annotation in record.annotations)


def canonical_places(record: ImageRecord, patch_px: int) -> list[Place]:
    """Return the canonical places of all annotations of an image, crowds and tiny ones included."""
    return [canonical_place(annotation.box, patch_px) for annotation in record.annotations]


@dataclass(frozen=True)
class ByCategory:
    """The objects of a data set by category, to draw categories at even odds (authors' code)."""

    records: Sequence[ImageRecord]
    objects: Sequence[NDArray[np.int64]]

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> "ByCategory":
        """List the objects of each category that has any: index of the record, of the object."""
        found = defaultdict(list)
        for i, record in enumerate(records):
            for j, annotation in enumerate(record.annotations):
                if is_learned(annotation):
                    found[annotation.label].append((i, j))
        return cls(records, [np.array(found[label]) for label in sorted(found)])

    def draw(self, rng: np.random.Generator) -> tuple[ImageRecord, Annotation]:
        """Draw a category, then one of its objects; return it with its image."""
        objects = self.objects[int(rng.integers(len(self.objects)))]
        i, j = objects[int(rng.integers(len(objects)))]
        record = self.records[int(i)]
        return record, record.annotations[int(j)]


def draw_scored_place(record: ImageRecord, patch_px: int, rng: np.random.Generator) -> Place | None:
    """Draw the place of a positive as the authors' code does for scores.

    Objects of an image are put into buckets of a quarter of an octave by their longer sides; one
    bucket is drawn, then an object in it. The place has its middle, and the scale at which the
    bucket's smallest objects are canonical. Crowds and tiny objects are drawn as well.

    Returns:
        None if the object has no usable mask (`data.check`).
    """
    buckets = defaultdict(list)
    places = canonical_places(record, patch_px)
    for index, place in enumerate(places):
        # An object on the edge of two buckets belongs to the smaller one.
        buckets[int(np.ceil(4 * np.log2(place.scale))) - 1].append(index)
    octave = sorted(buckets)[int(rng.integers(len(buckets)))]
    index = buckets[octave][int(rng.integers(len(buckets[octave])))]
    if object_fault(record.annotations[index], record) is not None:
        return None
    chosen = places[index]
    return Place(chosen.x, chosen.y, 2.0 ** (octave / 4))
