"""Instance predictions in COCO's results format, read image by image from their file.

The file is read once to check each entry and to record its position, in 25 bytes. An image's
entries are read again when a scorer asks for them. So images and entries may be in any order, and a
file of many gigabytes can be scored.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.json_list import is_json_list, read_json_list
from pointrend_repro.base.json_text import shown
from pointrend_repro.data.whole_runs import WholeRuns
from pointrend_repro.evaluation.columns import Column
from pointrend_repro.evaluation.entry_places import EntryPlaces
from pointrend_repro.evaluation.official_files import Entry, require_prediction

# How many predictions a scorer gets at once: its own records take some kilobytes for each.
_ENTRIES_AT_ONCE = 16384
_IMAGES_AT_ONCE = 500


@dataclass(frozen=True)
class InstanceResults:
    """Where each image's predictions lie in a file. N predictions in the order of the file.

    Attributes:
        places: in the file, with each one's image's id.
        category, size: its category's id, and its mask's (height, width) or None.
        points: how many keypoints it has, or None.
        file: the name of its picture without folders (`file_name`), or None; `segment` writes it.
        has_boxes: whether all have a `bbox`.
    """

    places: EntryPlaces
    category: Column
    size: Column
    points: Column
    file: Column
    has_boxes: bool

    def __len__(self) -> int:
        return len(self.places)

    @property
    def path(self) -> Path:
        """The file."""
        return self.places.path

    @property
    def image(self) -> Column:
        """Of each prediction, its image's id."""
        return self.places.image

    @property
    def has_masks(self) -> bool:
        """Whether all have a `segmentation`."""
        return None not in self.size.values

    def of_images(self, image_ids: Sequence[int]) -> list[Entry]:
        """Read the predictions of some images, image by image, in the file's order.

        Raises:
            UserError: the file can no longer be read.
        """
        return [entry for _, entry in self.places.read(image_ids)]

    def count(self, image_ids: Collection[int]) -> int:
        """Return how many predictions some images have."""
        return self.places.count(image_ids)


def index_results(path: Path) -> InstanceResults:
    """Read predictions in COCO's results format once, and check each, their masks many at once.

    Entries have `image_id`, `category_id`, `score` and, where the file has them, `segmentation`
    (compressed RLE), `bbox` [x, y, width, height] and `keypoints` [x, y, score, ...] in pixels, at
    least one of these.

    Raises:
        UserError: the file cannot be read, or an entry is faulty.
    """
    if not is_json_list(path):
        read_json(path, allow_nan=True)  # raises if it is not JSON at all
        raise UserError(f"{path}: must be a list of predictions in COCO's results format")
    places = EntryPlaces(path)
    category, size, points, file = Column(), Column(), Column(), Column()
    has_boxes = True
    runs = WholeRuns(lambda index: f"{path}: prediction {index} (from 0)", _ENTRIES_AT_ONCE)
    for index, found in enumerate(read_json_list(path, allow_nan=True)):
        entry = found.value
        require_prediction(entry, path, index)
        places.add(found)
        category.append(entry["category_id"])
        mask = entry.get("segmentation")
        if mask is not None:
            runs.add(index, mask)
        size.append(None if mask is None else tuple(mask["size"]))
        points.append(len(entry["keypoints"]) // 3 if "keypoints" in entry else None)
        file.append(Path(str(entry["file_name"])).name if "file_name" in entry else None)
        has_boxes &= "bbox" in entry
    runs.finish()
    return InstanceResults(
        places=places,
        category=category,
        size=size,
        points=points,
        file=file,
        has_boxes=has_boxes,
    )


def require_masks(results: InstanceResults) -> None:
    """Raise a `UserError` for the first prediction that has no mask, if there is one."""
    if not results.has_masks:
        none = np.flatnonzero(_of_values(results.size, lambda value: value is None))
        raise UserError(
            f"{results.path}: prediction {none[0]} (from 0): has no 'segmentation', and this "
            "metric is of masks; coco_box_ap is of boxes"
        )


def require_known(
    results: InstanceResults,
    *,
    sizes: Mapping[int, tuple[int, int]],
    category_ids: Collection[int] | None,
    other_images: Literal["refuse", "skip"] = "refuse",
) -> None:
    """Require that predictions refer to known images, in their sizes, and to known categories.

    Args:
        results: the predictions.
        sizes: (height, width) in pixels by image id.
        category_ids: the categories of the ground truth; None: classes do not count.
        other_images: what to do about predictions in images that `sizes` lacks.

    Raises:
        UserError: for the first prediction that does not.
    """
    if not len(results):
        return
    images, categories, found_sizes = results.image, results.category, results.size
    known = categories.values if category_ids is None else category_ids
    other_category = _of_values(categories, lambda value: value not in known)
    other_image = _of_values(images, lambda value: value not in sizes)
    places = {size: place for place, size in enumerate(found_sizes.values)}
    expected_sizes = _of_values(images, lambda value: places.get(tuple(sizes.get(value, ())), -1))
    has_mask = _of_values(found_sizes, lambda value: value is not None)
    other_size = (expected_sizes != found_sizes.codes) & has_mask & ~other_image
    if other_images == "skip":
        other_image[:] = False
    wrong = other_category | other_image | other_size
    index = int(np.argmax(wrong))
    if wrong[index]:
        problem = _problem(results, index, sizes, bool(other_category[index]))
        raise UserError(f"{results.path}: prediction {index} (from 0): {problem}")


def _problem(
    results: InstanceResults,
    index: int,
    sizes: Mapping[int, tuple[int, int]],
    other_category: bool,
) -> str:
    category, image, size = (
        column.values[column.codes[index]]
        for column in (results.category, results.image, results.size)
    )
    if other_category:
        return (
            f"category {category} is not in the ground truth; "
            "write the data set's own category ids, not contiguous labels"
        )
    if image not in sizes:
        return (
            f"image {image} is not in the ground truth; "
            "give the annotations that the model was run on"
        )
    return (
        f"RLE of size {shown(list(size))}, but image {image} is {list(sizes[image])} "
        "(height, width); write masks at the image's size"
    )


def _of_values(column: Column, function: Callable[[Any], int]) -> NDArray[Any]:
    """Return a function's result for each prediction's value, calling it once per value."""
    return np.array([function(value) for value in column.values])[column.codes]


def blocks(
    image_ids: Sequence[int], results: InstanceResults
) -> Iterator[tuple[list[int], list[Entry]]]:
    """Yield consecutive images, several at once, with their predictions."""
    block: list[int] = []
    count = 0
    for image_id in image_ids:
        more = results.count([image_id])
        if block and (count + more > _ENTRIES_AT_ONCE or len(block) == _IMAGES_AT_ONCE):
            yield block, results.of_images(block)
            block, count = [], 0
        block.append(image_id)
        count += more
    if block:
        yield block, results.of_images(block)
