"""Generated scenes in the layout of COCO 2017, with LVIS v0.5 annotations of the val images."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils
from shapely.geometry import Polygon
from shapely.ops import unary_union

from pointrend_repro.base.files import write_json
from pointrend_repro.data.generated.classes import coco_classes
from pointrend_repro.data.generated.folders import generate_folder, progress
from pointrend_repro.data.generated.lvis_layout import LvisAnnotations
from pointrend_repro.data.generated.polygons import (
    bounding_box,
    coarse_polygons,
    encode,
    exact_polygons,
    mask_area_px,
    uncompressed_rle,
)
from pointrend_repro.data.generated.rendering import render_scene
from pointrend_repro.data.generated.scenes import MIN_VISIBLE_AREA_PX, SceneObject, sample_scene
from pointrend_repro.settings.generated import GeneratedSettings, image_streams
from pointrend_repro.settings.values import Split

_FIRST_IMAGE_ID: dict[Split, int] = {"train": 1, "val": 2_000_001}
JPEG_QUALITY = 92


def generate_coco(root: Path, settings: GeneratedSettings) -> None:
    """Write train2017/, val2017/ and annotations/ (COCO 2017 and LVIS v0.5) under `root`.

    A folder made before with the same settings is kept as it is.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    generate_folder(root, layout="coco", settings=settings, fill=partial(_fill, settings))


def image_id(split: Split, index: int) -> int:
    """Return the COCO id of image `index`; no id is in both splits."""
    return _FIRST_IMAGE_ID[split] + index


def _fill(settings: GeneratedSettings, root: Path) -> None:
    annotations = root / "annotations"
    annotations.mkdir()
    lvis = LvisAnnotations(settings)
    categories = [
        {"supercategory": shape.supercategory, "id": shape.coco_id, "name": shape.name}
        for shape in coco_classes(settings)
    ]
    for split in ("train", "val"):
        images: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        folder = root / f"{split}2017"
        folder.mkdir()
        for index in progress(settings.image_count(split), f"{split} scenes"):
            streams = image_streams(settings.seed, split, index)
            scene = sample_scene(settings, split, index)
            images.append(image_record(settings, split, index))
            rendered = render_scene(
                scene,
                width_px=settings.width_px,
                height_px=settings.height_px,
                rng=streams.texture,
            )
            path = folder / images[-1]["file_name"]
            Image.fromarray(rendered).save(path, quality=JPEG_QUALITY)
            for annotation in _annotations(settings, scene, streams.annotation):
                annotation |= {"image_id": images[-1]["id"], "id": len(objects) + 1}
                objects.append(annotation)
            if split == "val":
                lvis.add_image(images[-1], scene, streams.annotation)
        content = file_header("Generated scenes in the layout of COCO 2017", categories) | {
            "images": images,
            "annotations": objects,
        }
        write_json(annotations / f"instances_{split}2017.json", content, indent=None)
    write_json(annotations / "lvis_v0.5_val.json", lvis.content(), indent=None)


def file_header(description: str, categories: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what an annotation file says besides its images and annotations."""
    return {
        "info": {
            "description": description,
            "url": "",
            "version": "1.0",
            "year": 2017,
            "contributor": "pointrend-repro",
            "date_created": "2017/09/01",
        },
        "licenses": [{"id": 1, "name": "Apache License 2.0", "url": ""}],
        "categories": categories,
    }


def image_record(settings: GeneratedSettings, split: Split, index: int) -> dict[str, Any]:
    """Return image `index` of `split` as an element of a file's `images`."""
    identity = image_id(split, index)
    file_name = f"{identity:012d}.jpg"
    return {
        "license": 1,
        "file_name": file_name,
        # No web address: the official tools would download a photograph instead.
        "coco_url": f"{split}2017/{file_name}",
        "height": settings.height_px,
        "width": settings.width_px,
        "date_captured": "2017-09-01 00:00:00",
        "flickr_url": "",
        "id": identity,
    }


def _annotations(
    settings: GeneratedSettings, scene: list[SceneObject], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return the COCO annotations of a scene, without annotation and image ids."""
    size = {"width_px": settings.width_px, "height_px": settings.height_px}
    annotations = []
    for item in scene:
        if item.in_crowd or item.shape.coco_id is None:
            continue
        polygons = coarse_polygons(item.visible, rng=rng, **size)
        area_px = mask_area_px(polygons, **size)
        if area_px < MIN_VISIBLE_AREA_PX / 2:
            polygons, area_px = item.polygons, item.area_px
        annotations.append(
            {
                "segmentation": polygons,
                "area": area_px,
                "iscrowd": 0,
                "bbox": bounding_box(polygons),
                "category_id": item.shape.coco_id,
            }
        )
    crowd = [item for item in scene if item.in_crowd]
    if crowd:
        category = crowd[0].shape.coco_id
        annotations.append(crowd_annotation([item.visible for item in crowd], category, **size))
    return annotations


def crowd_annotation(
    members: list[Polygon], category_id: int | None, *, width_px: int, height_px: int
) -> dict[str, Any]:
    """Return the single annotation of a group of objects: a mask in run lengths."""
    region = unary_union(members)
    polygons = exact_polygons(region)
    encoded = encode(polygons, width_px=width_px, height_px=height_px)
    return {
        "segmentation": uncompressed_rle(mask_utils.decode(encoded)),
        "area": float(mask_utils.area(encoded)),
        "iscrowd": 1,
        "bbox": [float(value) for value in mask_utils.toBbox(encoded)],
        "category_id": category_id,
    }
