"""Generated furniture in the layout of 3D-FUTURE's challenge, which its users have to bring."""

from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from pycocotools import mask as mask_utils

from pointrend_repro.base.files import write_json
from pointrend_repro.data.generated.coco_layout import JPEG_QUALITY, image_id
from pointrend_repro.data.generated.folders import generate_folder, progress
from pointrend_repro.data.generated.furniture_classes import furniture_classes
from pointrend_repro.data.generated.polygons import encode, uncompressed_rle
from pointrend_repro.data.generated.rendering import render_scene
from pointrend_repro.data.generated.scenes import SceneObject, sample_scene
from pointrend_repro.settings.generated import GeneratedSettings, image_streams
from pointrend_repro.settings.values import Split


def generate_furniture(root: Path, settings: GeneratedSettings) -> None:
    """Write images/train/, images/val/ and annotations/{train,val}_set.json under `root`.

    As in 3D-FUTURE, masks are those of the renderer, in uncompressed run lengths, `file_name` lacks
    the ending, and nothing has `iscrowd`. Categories have the keys of the ground truth's format in
    the organisers' README (3D-FUTURE-AI-Challenge-Baseline, segmentation/inst_segm_evaluation);
    objects lack those of their model and style, which nothing here reads. A folder made before with
    the same settings is kept as it is.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    generate_folder(root, layout="coco", settings=settings, fill=partial(_fill, settings))


def _fill(settings: GeneratedSettings, root: Path) -> None:
    (root / "annotations").mkdir()
    categories = sorted(
        (
            {
                "id": shape.coco_id,
                "category_name": shape.supercategory,
                "fine-grained category name": shape.name,
            }
            for shape in furniture_classes(settings)
        ),
        key=lambda category: str(category["id"]).zfill(2),
    )
    for split in ("train", "val"):
        images: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        (root / "images" / split).mkdir(parents=True)
        for index in progress(settings.image_count(split), f"{split} scenes"):
            scene = sample_scene(settings, split, index)
            images.append(_image(settings, split, index))
            _draw(root / "images" / split, images[-1]["file_name"], scene, settings, split, index)
            for item in scene:
                entry = _annotation(item, settings)
                objects.append({"id": len(objects) + 1, "image_id": images[-1]["id"], **entry})
        content = {"images": images, "annotations": objects, "categories": categories}
        write_json(root / "annotations" / f"{split}_set.json", content, indent=None)


def _image(settings: GeneratedSettings, split: Split, index: int) -> dict[str, Any]:
    number = image_id(split, index)
    size = {"width": settings.width_px, "height": settings.height_px}
    return {"id": number, "file_name": f"{number:07d}", **size}


def _draw(
    folder: Path,
    name: str,
    scene: list[SceneObject],
    settings: GeneratedSettings,
    split: Split,
    index: int,
) -> None:
    rng = image_streams(settings.seed, split, index).texture
    size = {"width_px": settings.width_px, "height_px": settings.height_px}
    pixels = render_scene(scene, **size, rng=rng)
    Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=JPEG_QUALITY)


def _annotation(item: SceneObject, settings: GeneratedSettings) -> dict[str, Any]:
    """Return an object's annotation, without ids of its own and of its image."""
    encoded = encode(item.polygons, width_px=settings.width_px, height_px=settings.height_px)
    return {
        "category_id": item.shape.coco_id,
        "segmentation": uncompressed_rle(mask_utils.decode(encoded)),
        "area": float(mask_utils.area(encoded)),
        "bbox": [float(value) for value in mask_utils.toBbox(encoded)],
    }
