"""Street scenes: a background of stuff and, in front, vehicles and people.

All geometry is in image pixels, with pixel edges at whole numbers.
"""

from typing import NamedTuple

import numpy as np
from shapely import affinity
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

from pointrend_repro.data.generated import street_shapes as shapes
from pointrend_repro.data.generated.classes import RGB, Pattern
from pointrend_repro.data.generated.outlines import Outline, largest
from pointrend_repro.data.generated.scenes import (
    place,
    sample_size_px,
    visible_part,
)
from pointrend_repro.data.generated.street_background import StreetObject, sample_background
from pointrend_repro.settings.generated import GeneratedSettings, image_streams
from pointrend_repro.settings.values import Split

_CAMERA_HEIGHT_M = 1.6
_GROUP_MEMBERS = 5


class StreetClass(NamedTuple):
    """One of the eight Cityscapes classes with instances.

    Attributes:
        label: The Cityscapes label.
        outline: Draws one outline.
        length_m: The longer side of its outline in the world, which determines its distance.
        color: The usual colour.
        pattern: The usual texture.
    """

    label: str
    outline: Outline
    length_m: float
    color: RGB
    pattern: Pattern


# In the order in which a data set with few classes takes them.
STREET_CLASSES = (
    StreetClass("car", shapes.car, 4.2, (70, 90, 150), "plain"),
    StreetClass("person", shapes.person, 1.8, (150, 80, 70), "mottled"),
    StreetClass("bicycle", shapes.bicycle, 1.8, (40, 50, 55), "plain"),
    StreetClass("rider", shapes.rider, 1.6, (90, 120, 70), "mottled"),
    StreetClass("bus", shapes.bus, 8.0, (190, 150, 60), "windows"),
    StreetClass("truck", shapes.truck, 6.5, (170, 170, 175), "plain"),
    StreetClass("motorcycle", shapes.motorcycle, 2.1, (120, 40, 50), "plain"),
    StreetClass("train", shapes.train, 14.0, (160, 60, 60), "windows"),
)


class _Candidate(NamedTuple):
    nearness_px: float  # pixels per metre: larger means nearer
    item: StreetObject


def sample_street(settings: GeneratedSettings, split: Split, index: int) -> list[StreetObject]:
    """Return what image `index` of `split` shows, from back to front.

    Each object's `outline` is clipped to the image; later objects hide earlier ones.
    """
    rng = image_streams(settings.seed, split, index).geometry
    width_px, height_px = settings.width_px, settings.height_px
    horizon_px = height_px * rng.uniform(0.38, 0.5)
    background = sample_background(
        rng, width_px=width_px, height_px=height_px, horizon_px=horizon_px
    )
    kind = settings.image_kind(index)
    candidates: list[_Candidate] = []
    for _ in range(0 if kind == "empty" else int(rng.integers(3, 9))):
        candidates += _sample_instance(settings, rng, horizon_px)
    if kind == "crowd":
        candidates.append(_sample_group(settings, rng, horizon_px))
    candidates.sort(key=lambda candidate: -candidate.nearness_px)
    in_front = _without_hidden([candidate.item for candidate in candidates], width_px, height_px)
    return [*background, *reversed(in_front)]


def _sample_instance(
    settings: GeneratedSettings, rng: np.random.Generator, horizon_px: float
) -> list[_Candidate]:
    """Return one object; a rider comes with a bicycle."""
    kind = STREET_CLASSES[rng.integers(min(settings.classes, len(STREET_CLASSES)))]
    low_px, high_px = settings.size_range_px
    size_px = sample_size_px(rng, low_px, high_px)
    nearness = size_px / kind.length_m
    x = rng.uniform(0.05, 0.95) * settings.width_px
    base = _base_px(nearness, horizon_px, settings.height_px)
    if kind.label != "rider":
        outline = _standing(kind, rng, size_px=size_px, x=x, base_px=base)
        return [_Candidate(nearness, _instance(kind, outline, rng))]
    cycle = next(other for other in STREET_CLASSES if other.label == "bicycle")
    cycle_px = nearness * cycle.length_m
    wheels = _standing(cycle, rng, size_px=cycle_px, x=x, base_px=base)
    person = _standing(kind, rng, size_px=size_px, x=x, base_px=base - 0.18 * size_px)
    # The rider is slightly nearer, hence in front of the bicycle.
    return [
        _Candidate(nearness, _instance(cycle, wheels, rng)),
        _Candidate(nearness * 1.0001, _instance(kind, person, rng)),
    ]


def _sample_group(
    settings: GeneratedSettings, rng: np.random.Generator, horizon_px: float
) -> _Candidate:
    """Return a row of overlapping objects, annotated as one group."""
    kind = STREET_CLASSES[rng.integers(2)]
    low_px, high_px = settings.size_range_px
    size_px = sample_size_px(rng, 1.5 * low_px, np.sqrt(low_px * high_px))
    nearness = size_px / kind.length_m
    base = _base_px(nearness, horizon_px, settings.height_px)
    middle = rng.uniform(0.3, 0.7) * settings.width_px
    step = 0.6 if kind.label == "car" else 0.2
    offsets = step * (np.arange(_GROUP_MEMBERS) - _GROUP_MEMBERS // 2)
    members = tuple(
        _standing(kind, rng, size_px=size_px, x=middle + offset * size_px, base_px=base)
        for offset in offsets
    )
    item = StreetObject(
        label=f"{kind.label}group",
        # Annotators draw one line around a group.
        outline=unary_union(members).convex_hull,
        members=members,
        color=kind.color,
        pattern=kind.pattern,
    )
    return _Candidate(nearness, item)


def _standing(
    kind: StreetClass, rng: np.random.Generator, *, size_px: float, x: float, base_px: float
) -> Polygon:
    """Return an outline whose lowest point is at `base_px`."""
    outline = place(kind.outline, rng, size_px=size_px, center_px=(x, base_px), turn_deg=2)
    return affinity.translate(outline, 0, base_px - outline.bounds[3])


def _base_px(nearness_px: float, horizon_px: float, height_px: int) -> float:
    """Return the y at which an object stands on the ground, seen from the camera's height."""
    return min(horizon_px + _CAMERA_HEIGHT_M * nearness_px, 0.98 * height_px)


def _instance(kind: StreetClass, outline: Polygon, rng: np.random.Generator) -> StreetObject:
    red, green, blue = np.clip(np.asarray(kind.color) + rng.normal(0, 30, 3), 20, 235).tolist()
    color = (int(red), int(green), int(blue))
    return StreetObject(kind.label, outline, (outline,), color, kind.pattern, relief=0.6)


def _without_hidden(items: list[StreetObject], width_px: int, height_px: int) -> list[StreetObject]:
    """Return the objects, front to back, clipped to the image, without the hidden ones."""
    frame, covered = box(0, 0, width_px, height_px), Polygon()
    kept = []
    for item in items:
        # One polygon per object: a second piece, cut off by the image's edge, is not drawn.
        outline = largest(item.outline.intersection(frame))
        if visible_part(outline, frame=frame, covered=covered).is_empty:
            continue
        covered = covered.union(outline)
        members = item.members if len(item.members) > 1 else (outline,)
        kept.append(item._replace(outline=outline, members=members))
    return kept
