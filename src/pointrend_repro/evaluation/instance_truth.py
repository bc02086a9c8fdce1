"""Annotations of objects, passed to the official tools in blocks of images.

Those of a file are read again block by block, so that few of them are in memory at once.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pointrend_repro.base.long_list import LongList
from pointrend_repro.data.category_names import category_name
from pointrend_repro.evaluation.entry_places import EntryPlaces
from pointrend_repro.evaluation.official_files import Entry

Change = Callable[[Entry], Entry | None]
"""What a metric makes of an annotation; None: it does not count. The entry itself stays."""


class Truth:
    """Annotations in the form that scorers of blocks of images use.

    Attributes:
        image_ids: in ascending order, as COCO's tools go over them.
        category_ids: in ascending order.
    """

    def __init__(self, content: dict[str, Any], change: Change = lambda entry: entry) -> None:
        """Find each image's annotations.

        Args:
            content: of a file, with `images`, `annotations` and `categories`.
            change: made to each annotation whenever it is read.

        Raises:
            UserError: the file can no longer be read.
        """
        images = {image["id"]: image for image in content["images"]}
        self.image_ids = sorted(images)
        self.category_ids = sorted({category["id"] for category in content["categories"]})
        self._categories: list[Entry] = content["categories"]
        self._images = images
        self._change = change
        self._annotations = _by_image(content["annotations"])
        self._others = {
            key: value for key, value in content.items() if key not in ("images", "annotations")
        }

    @property
    def class_names(self) -> list[str]:
        """In the order of `category_ids`; an id tells apart equal names, and stands for none."""
        names = {}
        for entry in self._categories:
            name = category_name(entry)
            names[entry["id"]] = str(entry["id"] if name is None else name)
        counts = Counter(names[number] for number in self.category_ids)
        return [
            names[number] if counts[names[number]] == 1 else f"{names[number]} ({number})"
            for number in self.category_ids
        ]

    def of_images(self, image_ids: Sequence[int]) -> dict[str, Any]:
        """Return the annotations of some images as a file's content; scorers modify its entries."""
        images = [self._images[image_id] for image_id in image_ids]
        # COCOeval marks a match by the annotation's id and takes 0 for "no match", so an object
        # with id 0 would never be found; hence numbers from 1.
        entries = [
            {"iscrowd": 0, **changed, "id": index + 1}
            for index, entry in self._annotations.read(image_ids)
            if (changed := self._change(entry)) is not None
        ]
        return {**self._others, "images": images, "annotations": entries}


class _InMemory:
    """Annotations that are no longer in their file, by image, as `EntryPlaces` gives them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._found: dict[int, list[tuple[int, Entry]]] = defaultdict(list)
        for index, entry in enumerate(entries):
            self._found[entry["image_id"]].append((index, entry))

    def read(self, image_ids: Sequence[int]) -> list[tuple[int, Entry]]:
        return [found for image_id in image_ids for found in self._found.get(image_id, [])]


def _by_image(entries: list[Entry] | LongList) -> EntryPlaces | _InMemory:
    if not isinstance(entries, LongList):
        return _InMemory(entries)
    places = EntryPlaces(entries.path)
    for found in entries.located():
        places.add(found)
    return places


def without(key: str, found: list[Entry]) -> list[Entry]:
    """Return predictions without a key.

    Without `bbox`, loadRes computes a detection's area from its mask; with it, masks would be
    sorted into APs, APm and APl by the size of their boxes.
    """
    return [{k: entry[k] for k in entry if k != key} for entry in found]
