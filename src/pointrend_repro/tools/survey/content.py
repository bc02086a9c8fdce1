"""One split of a data set, as far as it can be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pointrend_repro.data.coco import Category, ImageRecord

Form = Literal["polygons", "compressed RLE", "uncompressed RLE"]
Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


class SurveyedObject(NamedTuple):
    """An annotation without faults.

    Attributes:
        image_id: its image's.
        category_id: as in the file.
        box: (x0, y0, x1, y1) in pixels of the image.
        area: of the mask in pixels, as annotated.
        is_crowd: whether it is a region of many objects.
        form: how its mask is written.
        keypoints: how many of its keypoints are labelled.
    """

    image_id: int
    category_id: int
    box: tuple[float, float, float, float]
    area: float
    is_crowd: bool
    form: Form
    keypoints: int = 0


@dataclass(frozen=True)
class SplitContent:
    """The content of a split. Faulty entries are left out.

    Attributes:
        annotations: where they are: a COCO file, or the gtFine folder.
        images: by id, without their annotations, including those missing on disk.
        missing: ids of the images that are not on disk.
        unlisted: how many image files lie beside the listed ones.
    """

    name: Split
    images_dir: Path
    annotations: Path
    categories: tuple[Category, ...]
    images: Mapping[int, ImageRecord]
    objects: tuple[SurveyedObject, ...]
    missing: frozenset[int]
    unlisted: int
