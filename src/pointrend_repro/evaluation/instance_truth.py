"""Annotations of objects, passed to the official tools in blocks of images."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pointrend_repro.evaluation.official_files import Entry


class Truth:
    """Annotations in the form that scorers of blocks of images use.

    Attributes:
        image_ids: in ascending order, as COCO's tools go over them.
        category_ids: in ascending order.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        images = {image["id"]: image for image in content["images"]}
        self.image_ids = sorted(images)
        self.category_ids = sorted({category["id"] for category in content["categories"]})
        self._categories: list[Entry] = content["categories"]
        self._images = images
        self._annotations: dict[int, list[Entry]] = defaultdict(list)
        # COCOeval marks a match by the annotation's id and takes 0 for "no match", so an object
        # with id 0 would never be found; hence numbers from 1.
        for index, entry in enumerate(content["annotations"], start=1):
            self._annotations[entry["image_id"]].append({"iscrowd": 0, **entry, "id": index})
        self._others = {
            key: value for key, value in content.items() if key not in ("images", "annotations")
        }

    @property
    def class_names(self) -> list[str]:
        """In the order of `category_ids`; an id stands for a name that is not there."""
        names = {entry["id"]: str(entry.get("name", entry["id"])) for entry in self._categories}
        return [names[category_id] for category_id in self.category_ids]

    def of_images(self, image_ids: Iterable[int]) -> dict[str, Any]:
        """Return the annotations of some images as a file's content; scorers modify its entries."""
        images = [self._images[image_id] for image_id in image_ids]
        entries = [entry for image in images for entry in self._annotations.get(image["id"], [])]
        return {**self._others, "images": images, "annotations": entries}


def without(key: str, found: list[Entry]) -> list[Entry]:
    """Return predictions without a key.

    Without `bbox`, loadRes computes a detection's area from its mask; with it, masks would be
    sorted into APs, APm and APl by the size of their boxes.
    """
    return [{k: entry[k] for k in entry if k != key} for entry in found]
