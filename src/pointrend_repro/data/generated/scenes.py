"""Which objects stand where in an image, and which part of each is visible.

All geometry is in image pixels, with pixel edges at whole numbers.
"""

import math
from typing import NamedTuple

import numpy as np
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon, box

from pointrend_repro.data.generated.classes import (
    LVIS_ONLY_CLASS,
    ShapeClass,
    coco_classes,
)
from pointrend_repro.data.generated.furniture_classes import furniture_classes
from pointrend_repro.data.generated.outlines import Outline, polygon_parts
from pointrend_repro.data.generated.polygons import (
    MIN_PART_AREA_PX,
    FlatPolygon,
    exact_polygons,
    mask_area_px,
)
from pointrend_repro.settings.generated import GeneratedSettings, image_streams
from pointrend_repro.settings.values import Split

MIN_VISIBLE_AREA_PX = 12.0
_MIN_VISIBLE_SHARE = 0.12
_LVIS_ONLY_SHARE = 0.08
_CROWD_MEMBERS = 24


class SceneObject(NamedTuple):
    """One object of a scene.

    Attributes:
        shape: The class.
        outline: The whole object, which may extend beyond the image.
        visible: The part that lies in the image and behind no other object.
        polygons: `visible` as exact polygons.
        area_px: The number of visible pixels.
        in_crowd: Whether COCO annotates it only as part of a crowd.
    """

    shape: ShapeClass
    outline: Polygon
    visible: Polygon
    polygons: list[FlatPolygon]
    area_px: float
    in_crowd: bool


class _Candidate(NamedTuple):
    shape: ShapeClass
    outline: Polygon
    in_crowd: bool


def sample_scene(settings: GeneratedSettings, split: Split, index: int) -> list[SceneObject]:
    """Return the objects of image `index` of `split`, from the front to the back."""
    rng = image_streams(settings.seed, split, index).geometry
    kind = settings.image_kind(index)
    if kind == "empty":
        return []
    count = _count(settings, rng)
    candidates = [_sample_object(settings, rng, is_first=i == 0) for i in range(count)]
    if kind == "crowd":
        # Behind the first object, which may hide part of the crowd.
        candidates[1:1] = _sample_crowd(settings, rng)
    return _without_hidden(candidates, settings.width_px, settings.height_px)


def sample_size_px(rng: np.random.Generator, low_px: float, high_px: float) -> float:
    """Return a log-uniform size: as many objects of 16 to 32 px as of 160 to 320 px."""
    return math.exp(rng.uniform(math.log(low_px), math.log(high_px)))


def place(
    outline: Outline,
    rng: np.random.Generator,
    *,
    size_px: float,
    center_px: tuple[float, float],
    turn_deg: float,
) -> Polygon:
    """Return an outline, rotated and foreshortened, whose longer side is `size_px`."""
    polygon = outline(rng)
    mirror = rng.choice([-1.0, 1.0])
    polygon = affinity.scale(polygon, mirror, rng.uniform(0.8, 1.0))
    polygon = affinity.skew(polygon, rng.uniform(-8, 8))
    polygon = affinity.rotate(polygon, rng.uniform(-turn_deg, turn_deg))
    left, top, right, bottom = polygon.bounds
    scale = size_px / max(right - left, bottom - top)
    x, y = center_px[0] - scale * (left + right) / 2, center_px[1] - scale * (top + bottom) / 2
    # A twentieth of a pixel is invisible; fewer points make everything after this faster.
    return affinity.affine_transform(polygon, [scale, 0, 0, scale, x, y]).simplify(0.05)


def _shapes(settings: GeneratedSettings) -> tuple[ShapeClass, ...]:
    if settings.subject == "furniture":
        return furniture_classes(settings)
    return coco_classes(settings)


def _count(settings: GeneratedSettings, rng: np.random.Generator) -> int:
    most = int(np.clip(min(settings.width_px, settings.height_px) / 40, 3, 9))
    return int(rng.integers(2, most + 1))


def _sample_object(
    settings: GeneratedSettings, rng: np.random.Generator, *, is_first: bool
) -> _Candidate:
    shapes = _shapes(settings)
    shape = shapes[rng.integers(len(shapes))]
    if settings.subject == "things" and not is_first and rng.random() < _LVIS_ONLY_SHARE:
        shape = LVIS_ONLY_CLASS
    low_px, high_px = settings.size_range_px
    # Nothing hides the first object, which is large enough that only the empty scenes are empty.
    size_px = sample_size_px(rng, np.sqrt(low_px * high_px) if is_first else low_px, high_px)
    center = (
        _coordinate(rng, settings.width_px, size_px),
        _coordinate(rng, settings.height_px, size_px),
    )
    outline = place(shape.outline, rng, size_px=size_px, center_px=center, turn_deg=shape.turn_deg)
    return _Candidate(shape, outline, in_crowd=False)


def _coordinate(rng: np.random.Generator, extent_px: int, size_px: float) -> float:
    """Return a centre such that at most a fifth of the object lies outside the image."""
    margin_px = min(0.3 * size_px, extent_px / 2)
    return float(rng.uniform(margin_px, extent_px - margin_px))


def _sample_crowd(settings: GeneratedSettings, rng: np.random.Generator) -> list[_Candidate]:
    shapes = _shapes(settings)
    shape = shapes[rng.integers(len(shapes))]
    width_px, height_px = settings.width_px, settings.height_px
    low_px, high_px = settings.size_range_px
    size_px = sample_size_px(rng, 1.5 * low_px, np.sqrt(low_px * high_px))
    middle = rng.uniform(0.3, 0.7, 2) * (width_px, height_px)
    members = []
    for _ in range(_CROWD_MEMBERS):
        offset = rng.normal(0, 1, 2) * (1.6 * size_px, 0.8 * size_px)
        x, y = np.clip(middle + offset, 0, (width_px, height_px))
        member_px = size_px * rng.uniform(0.8, 1.2)
        outline = place(
            shape.outline, rng, size_px=member_px, center_px=(x, y), turn_deg=shape.turn_deg
        )
        members.append(_Candidate(shape, outline, in_crowd=True))
    return members


def visible_part(outline: Polygon, *, frame: Polygon, covered: Polygon) -> Polygon:
    """Return the part of `outline` in `frame` and outside `covered`; empty if it is too small."""
    visible = outline.intersection(frame).difference(covered)
    parts = [part for part in polygon_parts(visible) if part.area >= MIN_PART_AREA_PX]
    area_px = sum(part.area for part in parts)
    if area_px < max(MIN_VISIBLE_AREA_PX, _MIN_VISIBLE_SHARE * outline.area):
        return Polygon()
    return MultiPolygon(parts)


def _without_hidden(
    candidates: list[_Candidate], width_px: int, height_px: int
) -> list[SceneObject]:
    """Return the objects, front to back, without those of which too little is visible."""
    frame, covered = box(0, 0, width_px, height_px), Polygon()
    kept: list[SceneObject] = []
    for shape, outline, in_crowd in candidates:
        visible = visible_part(outline, frame=frame, covered=covered)
        polygons = exact_polygons(visible)
        area_px = mask_area_px(polygons, width_px=width_px, height_px=height_px)
        if area_px < MIN_VISIBLE_AREA_PX:
            continue
        covered = covered.union(outline)
        kept.append(SceneObject(shape, outline, visible, polygons, area_px, in_crowd))
    return kept
