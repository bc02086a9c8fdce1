"""Generated street scenes in the layout of Cityscapes (leftImg8bit and gtFine)."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.preparation.json2instanceImg import createInstanceImage
from cityscapesscripts.preparation.json2labelImg import json2labelImg
from PIL import Image
from shapely.geometry import Polygon

from pointrend_repro.base.files import write_json
from pointrend_repro.data.generated.folders import generate_folder, progress
from pointrend_repro.data.generated.polygons import keyhole_ring
from pointrend_repro.data.generated.rendering import light_direction, paint, to_uint8
from pointrend_repro.data.generated.street_background import StreetObject
from pointrend_repro.data.generated.street_scenes import sample_street
from pointrend_repro.settings.generated import GeneratedSettings, image_streams
from pointrend_repro.settings.values import Split

# Made-up towns, so that these images are not taken for photographs.
_CITIES: dict[Split, tuple[str, ...]] = {
    "train": ("gridstadt", "pointburg", "renderau"),
    "val": ("edgeheim", "fineberg"),
}
_FRAME = "000019"

# PIL also fills the pixels that the outline itself runs through, which is about this much too far.
_PIL_GROWTH_PX = 0.4


def generate_cityscapes(root: Path, settings: GeneratedSettings) -> None:
    """Write leftImg8bit/ and gtFine/, each with train/ and val/, under `root`.

    The label images are made by functions of cityscapesscripts. A folder made before with the
    same settings is kept as it is.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    generate_folder(root, layout="cityscapes", settings=settings, fill=partial(_fill, settings))


def image_name(split: Split, index: int) -> tuple[str, str]:
    """Return the city of image `index` and the stem of its file names."""
    cities = _CITIES[split]
    city = cities[index % len(cities)]
    return city, f"{city}_{index // len(cities):06d}_{_FRAME}"


def _fill(settings: GeneratedSettings, root: Path) -> None:
    for split in ("train", "val"):
        images, labels = root / "leftImg8bit" / split, root / "gtFine" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for index in progress(settings.image_count(split), f"{split} streets"):
            city, stem = image_name(split, index)
            (images / city).mkdir(exist_ok=True)
            (labels / city).mkdir(exist_ok=True)
            scene = sample_street(settings, split, index)
            rng = image_streams(settings.seed, split, index).texture
            rendered = Image.fromarray(_render(scene, settings, rng))
            # Fast rather than small: textures hardly compress.
            rendered.save(images / city / f"{stem}_leftImg8bit.png", compress_level=1)
            _write_labels(scene, settings, prefix=f"{labels / city / stem}_gtFine")


def _render(
    scene: list[StreetObject], settings: GeneratedSettings, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return the image (H, W, 3), RGB, of objects given from the back to the front."""
    image = np.zeros((3, settings.height_px, settings.width_px), dtype=np.float32)
    light = light_direction(rng)
    for item in scene:
        for outline in item.members:
            paint(
                image,
                outline,
                color=item.color,
                pattern=item.pattern,
                light=light,
                rng=rng,
                relief=item.relief,
            )
    return to_uint8(image)


def _write_labels(scene: list[StreetObject], settings: GeneratedSettings, *, prefix: str) -> None:
    objects: list[dict[str, Any]] = [
        {"label": item.label, "polygon": label_polygon(item.outline, settings)} for item in scene
    ]
    annotation = {
        "imgHeight": settings.height_px,
        "imgWidth": settings.width_px,
        "objects": objects,
    }
    polygons = f"{prefix}_polygons.json"
    write_json(Path(polygons), annotation, indent=None)
    json2labelImg(polygons, f"{prefix}_labelIds.png", "ids")
    json2labelImg(polygons, f"{prefix}_labelTrainIds.png", "trainIds")
    # json2instanceImg without its last step: Pillow 13 no longer writes its 32-bit image as PNG.
    parsed = Annotation()
    parsed.fromJsonFile(polygons)
    instances = np.asarray(createInstanceImage(parsed, "ids")).astype(np.uint16)
    Image.fromarray(instances).save(f"{prefix}_instanceIds.png")


def label_polygon(outline: Polygon, settings: GeneratedSettings) -> list[list[int]]:
    """Return an outline as in Cityscapes: points at pixel centres, in whole numbers.

    Args:
        outline: The outline in image pixels, with pixel edges at whole numbers.
        settings: Gives the size of the image, which contains the points.
    """
    inner = outline.buffer(-_PIL_GROWTH_PX, join_style="mitre")
    # Parts thinner than a pixel would be lost, so such an outline stays as it is.
    is_intact = inner.geom_type == "Polygon" and len(inner.interiors) == len(outline.interiors)
    ring = keyhole_ring(inner if is_intact and not inner.is_empty else outline)
    most = (settings.width_px - 1, settings.height_px - 1)
    points = np.clip(np.rint(ring[:-1] - 0.5), 0, most).astype(int)
    is_new = np.any(points != np.roll(points, 1, axis=0), axis=1)
    return points[is_new].tolist() if is_new.sum() >= 3 else points.tolist()
