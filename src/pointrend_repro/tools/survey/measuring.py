"""A split in numbers: its images, and the sizes of its objects."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.tools.survey.content import Form, SplitContent

# COCO's, in pixels of the mask: the limits for APs, APm and APl.
SMALL_AREA, LARGE_AREA = 32**2, 96**2

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """The counts of a split. Objects do not include crowd regions.

    Attributes:
        images_without_objects: not used in training, but scored.
        forms: how masks are written, including those of crowd regions.
        by_class: objects of each category, in the order of the categories.
        sizes: (width, height) of images in pixels, the most frequent first.
        small, medium, large: objects by the area of their mask, divided as in COCO.
        with_keypoints: objects of which a keypoint is labelled.
    """

    images: int
    images_without_objects: int
    objects: int
    crowd_regions: int
    forms: Mapping[Form, int]
    by_class: tuple[int, ...]
    sizes: Mapping[tuple[int, int], int]
    small: int
    medium: int
    large: int
    with_keypoints: int


@dataclass(frozen=True)
class Shapes:
    """Sizes of what a training would use: images with objects, and these objects.

    Attributes:
        widths_px, heights_px: of the images, (N,).
        sides_px: of the objects, the square root of the box's area, (O,).
        areas_px: of the masks, (O,).
        image_of: the index of the object's image in the first two, (O,).
    """

    widths_px: _Floats
    heights_px: _Floats
    sides_px: _Floats
    areas_px: _Floats
    image_of: NDArray[np.int64]

    @property
    def short_edges_px(self) -> _Floats:
        """The shorter side of each image, (N,)."""
        return np.minimum(self.widths_px, self.heights_px)

    @property
    def aspects(self) -> _Floats:
        """The ratio of the longer to the shorter side of each image, (N,)."""
        return np.maximum(self.widths_px, self.heights_px) / self.short_edges_px

    @property
    def large_sides_px(self) -> _Floats:
        """The sides of large objects only."""
        return self.sides_px[self.areas_px > LARGE_AREA]

    def input_sides_px(self, short_edge_px: int, max_long_edge_px: int) -> _Floats:
        """The objects' sides once their images are resized for the network, (O,)."""
        longest = max_long_edge_px / (self.short_edges_px * self.aspects)
        scales = np.minimum(short_edge_px / self.short_edges_px, longest)
        return self.sides_px * scales[self.image_of]


def count(split: SplitContent) -> Counts:
    """Count the content of a split."""
    objects = [o for o in split.objects if not o.is_crowd]
    classes = Counter(o.category_id for o in objects)
    areas = np.array([o.area for o in objects])
    small, large = int((areas <= SMALL_AREA).sum()), int((areas > LARGE_AREA).sum())
    sizes = Counter((image.width, image.height) for image in split.images.values())
    return Counts(
        images=len(split.images),
        images_without_objects=len(split.images.keys() - {o.image_id for o in objects}),
        objects=len(objects),
        crowd_regions=len(split.objects) - len(objects),
        forms=Counter(o.form for o in split.objects),
        by_class=tuple(classes[category.id] for category in split.categories),
        sizes=dict(sizes.most_common()),
        small=small,
        medium=len(objects) - small - large,
        large=large,
        with_keypoints=sum(o.keypoints > 0 for o in objects),
    )


def shapes(split: SplitContent) -> Shapes:
    """Measure what a training on this split would use."""
    objects = [o for o in split.objects if not o.is_crowd]
    place = {key: index for index, key in enumerate(sorted({o.image_id for o in objects}))}
    boxes = np.array([o.box for o in objects], dtype=float).reshape(-1, 4)
    return Shapes(
        widths_px=np.array([split.images[key].width for key in place], dtype=float),
        heights_px=np.array([split.images[key].height for key in place], dtype=float),
        sides_px=np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])),
        areas_px=np.array([o.area for o in objects], dtype=float),
        image_of=np.array([place[o.image_id] for o in objects], dtype=np.int64),
    )
