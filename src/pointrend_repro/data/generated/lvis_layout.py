"""LVIS v0.5 annotations of generated scenes: exact outlines, federated categories."""

from typing import Any

import numpy as np

from pointrend_repro.data.generated.classes import lvis_classes, lvis_id
from pointrend_repro.data.generated.polygons import bounding_box
from pointrend_repro.data.generated.scenes import SceneObject
from pointrend_repro.settings.generated import GeneratedSettings

# Shares of the absent classes for which an image is checked, and of the classes with several
# objects of which some are not annotated.
_NEGATIVE_SHARE = 0.6
_NOT_EXHAUSTIVE_SHARE = 0.25

# LVIS's frequency groups: a class is rare in up to 10 images, common in up to 100.
_MOST_IMAGES = {"r": 10, "c": 100}


class LvisAnnotations:
    """Collects annotations image by image.

    In the federated LVIS, an image says for which categories it is annotated: those that occur
    in it (positive), those known to be absent (negative), and among the positive ones those with
    some objects not annotated (not exhaustive).
    """

    def __init__(self, settings: GeneratedSettings) -> None:
        self._shapes = lvis_classes(settings)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add_image(
        self, coco_image: dict[str, Any], scene: list[SceneObject], rng: np.random.Generator
    ) -> None:
        """Annotate one image, given its COCO record and its objects."""
        present = {item.shape.synset for item in scene}
        absent = [shape for shape in self._shapes if shape.synset not in present]
        negative = [lvis_id(shape) for shape in absent if rng.random() < _NEGATIVE_SHARE]
        not_exhaustive = []
        for shape in self._shapes:
            if shape.synset not in present:
                continue
            items = [item for item in scene if item.shape is shape]
            is_crowd = any(item.in_crowd for item in items)
            if is_crowd or (len(items) > 1 and rng.random() < _NOT_EXHAUSTIVE_SHARE):
                not_exhaustive.append(lvis_id(shape))
                items = items[: (len(items) + 1) // 2]
            for item in items:
                self._add_annotation(coco_image["id"], item)
        self._images.append(
            coco_image
            | {
                # The name of COCO's images in 2014, as in the official v0.5 file.
                "file_name": f"COCO_val2014_{coco_image['file_name']}",
                "neg_category_ids": sorted(negative),
                "not_exhaustive_category_ids": sorted(not_exhaustive),
            }
        )

    def content(self) -> dict[str, Any]:
        """Return the content of the annotation file."""
        return {
            "info": {
                "description": "Generated scenes in the layout of LVIS v0.5",
                "url": "",
                "version": "0.5",
                "year": 2019,
                "contributor": "pointrend-repro",
                "date_created": "2019-09-01",
            },
            "licenses": [{"id": 1, "name": "Apache License 2.0", "url": ""}],
            "images": self._images,
            "annotations": self._annotations,
            "categories": self._categories(),
        }

    def _add_annotation(self, image_id: int, item: SceneObject) -> None:
        self._annotations.append(
            {
                "segmentation": item.polygons,
                "area": item.area_px,
                "image_id": image_id,
                "bbox": bounding_box(item.polygons),
                "category_id": lvis_id(item.shape),
                "id": len(self._annotations) + 1,
            }
        )

    def _categories(self) -> list[dict[str, Any]]:
        categories = []
        for shape in sorted(self._shapes, key=lvis_id):
            identity = lvis_id(shape)
            images = [a["image_id"] for a in self._annotations if a["category_id"] == identity]
            name = shape.synset.split(".")[0]
            categories.append(
                {
                    "id": identity,
                    "name": name,
                    "synset": shape.synset,
                    "synonyms": sorted({name, shape.name}),
                    "def": shape.definition,
                    "frequency": _frequency(len(set(images))),
                    "image_count": len(set(images)),
                    "instance_count": len(images),
                }
            )
        return categories


def _frequency(image_count: int) -> str:
    for group, most_images in _MOST_IMAGES.items():
        if image_count <= most_images:
            return group
    return "f"
