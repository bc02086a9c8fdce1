"""The stuff of a street scene: all of Cityscapes' 19 evaluated classes that have no instances.

It also draws the bonnet of the car with the camera, whose pixels do not count.
"""

import itertools
from typing import NamedTuple

import numpy as np
from shapely import affinity
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

from pointrend_repro.data.generated import street_shapes as shapes
from pointrend_repro.data.generated.classes import RGB, Pattern
from pointrend_repro.data.generated.outlines import Outline, largest
from pointrend_repro.data.generated.scenes import place

# The share of images that have each of the optional things.
_BESIDE_SHARE = 0.7


class StreetObject(NamedTuple):
    """One entry of a Cityscapes annotation, and how it is drawn.

    Attributes:
        label: The Cityscapes label.
        outline: What is annotated.
        members: What is drawn: the outline, or the members of a group.
        color: The colour.
        pattern: The texture.
        relief: How strongly it is shaded: 1 for an object, 0 for a flat surface.
    """

    label: str
    outline: Polygon
    members: tuple[Polygon, ...]
    color: RGB
    pattern: Pattern
    relief: float = 1.0


def sample_background(
    rng: np.random.Generator, *, width_px: int, height_px: int, horizon_px: float
) -> list[StreetObject]:
    """Return the stuff of a scene from back to front; the first entry covers the image."""
    frame = box(0, 0, width_px, height_px)
    vanishing_x = width_px * rng.uniform(0.35, 0.65)
    kerb_left, kerb_right = rng.uniform(-0.15, 0.2), rng.uniform(0.8, 1.15)
    road = Polygon(
        [
            (vanishing_x, horizon_px),
            (kerb_right * width_px, height_px),
            (kerb_left * width_px, height_px),
        ]
    )
    # A stream of its own: these things were added later, and must not move anything else.
    (beside,) = rng.spawn(1)
    stuff = [
        _surface("sky", frame, (150, 185, 215), "plain"),
        _surface("building", _skyline(rng, width_px, horizon_px), (150, 130, 115), "windows"),
        *_trees(rng, width_px, horizon_px),
        *_barriers(beside, width_px, height_px, horizon_px),
        _surface("sidewalk", box(0, horizon_px, width_px, height_px), (165, 155, 155), "mottled"),
        *_terrain(beside, width_px, height_px, horizon_px),
        _surface("road", road, (92, 90, 96), "plain"),
        *_poles(rng, width_px, height_px, horizon_px),
        *_traffic_lights(beside, width_px, height_px, horizon_px),
        _surface("ego vehicle", _bonnet(width_px, height_px), (38, 40, 46), "plain"),
    ]
    cut = [(item, largest(item.outline.intersection(frame))) for item in stuff]
    return [
        item._replace(outline=outline, members=(outline,))
        for item, outline in cut
        if outline.area >= 1
    ]


def _surface(label: str, outline: Polygon, color: RGB, pattern: Pattern) -> StreetObject:
    return StreetObject(label, outline, (outline,), color, pattern, relief=0.0)


def _skyline(rng: np.random.Generator, width_px: int, horizon_px: float) -> Polygon:
    """Return a row of house fronts with flat or pointed roofs down to the horizon."""
    edges = np.linspace(0, width_px, int(rng.integers(5, 9)))
    fronts = []
    for left, right in itertools.pairwise(edges):
        eaves = horizon_px * rng.uniform(0.15, 0.6)
        ridge = eaves - rng.choice([0.0, 0.12]) * horizon_px
        corners = [(left, horizon_px + 1), (left, eaves), ((left + right) / 2, ridge)]
        fronts.append(Polygon([*corners, (right, eaves), (right, horizon_px + 1)]))
    return largest(unary_union(fronts))


def _trees(rng: np.random.Generator, width_px: int, horizon_px: float) -> list[StreetObject]:
    trees = []
    for _ in range(int(rng.integers(1, 4))):
        size_px = horizon_px * rng.uniform(0.4, 0.8)
        outline = _standing(shapes.tree, rng, width_px, base_px=horizon_px + 1, size_px=size_px)
        trees.append(
            StreetObject("vegetation", outline, (outline,), (82, 118, 62), "mottled", relief=0.5)
        )
    return trees


def _barriers(
    rng: np.random.Generator, width_px: int, height_px: int, horizon_px: float
) -> list[StreetObject]:
    """Return a wall with a stepped top, a fence with a pointed one, both, or neither."""
    items = []
    looks: list[tuple[str, RGB, Pattern]] = [
        ("wall", (142, 118, 104), "stripes"),
        ("fence", (112, 96, 82), "stripes"),
    ]
    for label, color, pattern in looks:
        if rng.random() < _BESIDE_SHARE:
            length = width_px * rng.uniform(0.25, 0.5)
            left = rng.uniform(-0.05, 1.05) * (width_px - length)
            top = horizon_px - height_px * rng.uniform(0.06, 0.12)
            step = max(2.0, height_px * rng.uniform(0.02, 0.04))
            x = np.arange(left, left + length, step)
            heights = top + rng.uniform(0, step, x.size)
            if label == "fence":
                edge = np.column_stack([x, np.where(np.arange(x.size) % 2, top, top + step)])
            else:
                edge = np.column_stack([np.repeat(x, 2)[1:], np.repeat(heights, 2)[:-1]])
            base = horizon_px + 1
            outline = Polygon([(edge[0, 0], base), *edge.tolist(), (edge[-1, 0], base)])
            items.append(StreetObject(label, outline, (outline,), color, pattern, relief=0.3))
    return items


def _terrain(
    rng: np.random.Generator, width_px: int, height_px: int, horizon_px: float
) -> list[StreetObject]:
    """Return a strip of grass along one side of the road, ragged above and below, or nothing."""
    if rng.random() >= _BESIDE_SHARE:
        return []
    x = np.linspace(0, width_px * rng.uniform(0.3, 0.5), 40)
    middle = horizon_px + height_px * rng.uniform(0.05, 0.12)
    thickness = height_px * rng.uniform(0.05, 0.1)
    above = middle - thickness + rng.normal(0, 0.2 * thickness, x.size)
    below = middle + thickness + rng.normal(0, 0.2 * thickness, x.size)
    if rng.random() < 0.5:
        x = width_px - x
    ring = [*zip(x, np.minimum(above, middle - 1), strict=True)]
    ring += [*zip(x, np.maximum(below, middle + 1), strict=True)][::-1]
    return [_surface("terrain", Polygon(ring), (128, 150, 88), "mottled")]


def _traffic_lights(
    rng: np.random.Generator, width_px: int, height_px: int, horizon_px: float
) -> list[StreetObject]:
    """Return a thin mast with a traffic light on it, or nothing."""
    if rng.random() >= _BESIDE_SHARE:
        return []
    x, base = rng.uniform(0.05, 0.95) * width_px, horizon_px + 0.05 * height_px
    size_px = height_px * rng.uniform(0.08, 0.14)
    top = base - 3.5 * size_px
    mast = box(x - 0.06 * size_px, top, x + 0.06 * size_px, base)
    light = box(x - 0.22 * size_px, top - 0.2 * size_px, x + 0.22 * size_px, top + 0.8 * size_px)
    return [
        StreetObject("pole", mast, (mast,), (110, 112, 116), "plain"),
        StreetObject("traffic light", light, (light,), (60, 62, 48), "spots"),
    ]


def _bonnet(width_px: int, height_px: int) -> Polygon:
    """Return a flat arch along the lower edge."""
    x = np.linspace(0, width_px, 40)
    y = height_px * (0.95 + 0.05 * (2 * x / width_px - 1) ** 2)
    return Polygon([(0, height_px + 1), *zip(x, y, strict=True), (width_px, height_px + 1)])


def _poles(
    rng: np.random.Generator, width_px: int, height_px: int, horizon_px: float
) -> list[StreetObject]:
    """Return thin poles beside the road, some with a traffic sign."""
    items = []
    for _ in range(int(rng.integers(1, 4))):
        size_px = height_px * rng.uniform(0.3, 0.75)
        base_px = horizon_px + 0.12 * size_px
        outline = _standing(shapes.pole, rng, width_px, base_px=base_px, size_px=size_px)
        items.append(StreetObject("pole", outline, (outline,), (120, 122, 125), "plain"))
        if rng.random() < 0.5:
            foot_x = outline.representative_point().x
            sign = place(
                shapes.traffic_sign,
                rng,
                size_px=0.16 * size_px,
                center_px=(foot_x, base_px - 0.55 * size_px),
                turn_deg=3,
            )
            items.append(StreetObject("traffic sign", sign, (sign,), (200, 60, 50), "sectors"))
    return items


def _standing(
    outline: Outline,
    rng: np.random.Generator,
    width_px: int,
    *,
    base_px: float,
    size_px: float,
) -> Polygon:
    x = rng.uniform(0.03, 0.97) * width_px
    polygon = place(outline, rng, size_px=size_px, center_px=(x, base_px), turn_deg=1)
    return affinity.translate(polygon, 0, base_px - polygon.bounds[3])
