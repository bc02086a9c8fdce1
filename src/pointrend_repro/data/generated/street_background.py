"""The stuff of a street scene: sky, buildings, trees, road, sidewalk, poles and signs."""

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


class StreetObject(NamedTuple):
    """One entry of a Cityscapes annotation, and what is drawn for it.

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
    """Return the stuff of a scene from the back to the front; the first covers the image."""
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
    stuff = [
        _surface("sky", frame, (150, 185, 215), "plain"),
        _surface("building", _skyline(rng, width_px, horizon_px), (150, 130, 115), "windows"),
        *_trees(rng, width_px, horizon_px),
        _surface("sidewalk", box(0, horizon_px, width_px, height_px), (165, 155, 155), "mottled"),
        _surface("road", road, (92, 90, 96), "plain"),
        *_poles(rng, width_px, height_px, horizon_px),
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
