"""Generated people in the layout of COCO 2017's keypoints."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from shapely.geometry import box

from pointrend_repro.base.files import write_json
from pointrend_repro.data.generated.coco_layout import (
    JPEG_QUALITY,
    crowd_annotation,
    file_header,
    image_record,
)
from pointrend_repro.data.generated.folders import generate_folder, progress
from pointrend_repro.data.generated.people_scenes import Standing, sample_people
from pointrend_repro.data.generated.polygons import bounding_box, coarse_polygons, mask_area_px
from pointrend_repro.data.generated.rendering import light_direction, paint, to_uint8
from pointrend_repro.data.generated.textures import background_texture
from pointrend_repro.data.keypoints import COCO_PERSON
from pointrend_repro.settings.generated import GeneratedSettings, image_streams
from pointrend_repro.settings.values import Split

PERSON_ID = 1

# As in COCO's own file, from 1.
_SKELETON = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)),
    *((8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
)
_CATEGORY = {
    "supercategory": "person",
    "id": PERSON_ID,
    "name": "person",
    "keypoints": list(COCO_PERSON),
    "skeleton": [list(pair) for pair in _SKELETON],
}


def generate_people(root: Path, settings: GeneratedSettings) -> None:
    """Write train2017/, val2017/ and annotations/person_keypoints_*2017.json under `root`.

    A folder made before with the same settings is kept as it is.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    generate_folder(root, layout="coco", settings=settings, fill=partial(_fill, settings))


def _fill(settings: GeneratedSettings, root: Path) -> None:
    (root / "annotations").mkdir()
    for split in ("train", "val"):
        images: list[dict[str, Any]] = []
        people: list[dict[str, Any]] = []
        folder = root / f"{split}2017"
        folder.mkdir()
        for index in progress(settings.image_count(split), f"{split} scenes"):
            scene = sample_people(settings, split, index)
            images.append(image_record(settings, split, index))
            pixels = _render(settings, scene, split, index)
            Image.fromarray(pixels).save(folder / images[-1]["file_name"], quality=JPEG_QUALITY)
            rng = image_streams(settings.seed, split, index).annotation
            for annotation in _annotations(settings, scene, rng):
                people.append({**annotation, "image_id": images[-1]["id"], "id": len(people) + 1})
        content = file_header("Generated people in the layout of COCO 2017", [_CATEGORY])
        content |= {"images": images, "annotations": people}
        path = root / "annotations" / f"person_keypoints_{split}2017.json"
        write_json(path, content, indent=None)


def _render(
    settings: GeneratedSettings, scene: list[Standing], split: Split, index: int
) -> NDArray[np.uint8]:
    rng = image_streams(settings.seed, split, index).texture
    image = background_texture(rng, height_px=settings.height_px, width_px=settings.width_px)
    light = light_direction(rng)
    frame = box(0, 0, settings.width_px, settings.height_px)
    for each in reversed(scene):
        for part in (part for part in each.parts if frame.intersects(part.outline)):
            paint(
                image,
                part.outline,
                color=part.color,
                pattern=part.pattern,
                light=light,
                rng=rng,
                relief=part.relief,
            )
    return to_uint8(image)


def _annotations(
    settings: GeneratedSettings, scene: list[Standing], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return the annotations of a scene, without annotation and image ids."""
    size = {"width_px": settings.width_px, "height_px": settings.height_px}
    annotations = []
    for each in scene:
        if each.keypoints is None or each.in_crowd:
            continue
        polygons = coarse_polygons(each.visible, rng=rng, **size)
        annotations.append(
            {
                "segmentation": polygons,
                "num_keypoints": int((each.keypoints[:, 2] > 0).sum()),
                "area": mask_area_px(polygons, **size),
                "iscrowd": 0,
                "keypoints": each.keypoints.ravel().tolist(),
                "bbox": bounding_box(polygons),
                "category_id": PERSON_ID,
            }
        )
    crowd = [each.visible for each in scene if each.in_crowd]
    if crowd:
        none = {"num_keypoints": 0, "keypoints": [0] * (3 * len(COCO_PERSON))}
        annotations.append(crowd_annotation(crowd, PERSON_ID, **size) | none)
    return annotations
