"""Which people stand where in an image, with things between them, and what of each is visible."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Point, Polygon, box

from pointrend_repro.data.generated.classes import COCO_CLASSES
from pointrend_repro.data.generated.people import Part, Person, sample_person
from pointrend_repro.data.generated.polygons import exact_polygons, mask_area_px
from pointrend_repro.data.generated.scenes import (
    MIN_VISIBLE_AREA_PX,
    place,
    sample_size_px,
    visible_part,
)
from pointrend_repro.settings.generated import GeneratedSettings, image_streams
from pointrend_repro.settings.values import Split

_THING_SHARE = 0.35
_CROWD_MEMBERS = 16
# Among every so many images, so that no split lacks a large object.
_CLOSE_UPS, _CLOSE_UP_OFFSET = 8, 6
# As in COCO, keypoints of small people are not labelled.
_SMALLEST_LABELLED_PX = 30.0


class Standing(NamedTuple):
    """A person, or a thing without annotation, in a scene.

    Attributes:
        parts: what is painted, from the back to the front.
        visible: the part that lies in the image and behind nothing else.
        keypoints: of a person, as annotated: x and y, indices of pixels, and visibility, (17, 3);
            None: a thing.
        in_crowd: whether the person is annotated only as part of a crowd.
    """

    parts: tuple[Part, ...]
    visible: Polygon
    keypoints: NDArray[np.int64] | None
    in_crowd: bool


def sample_people(settings: GeneratedSettings, split: Split, index: int) -> list[Standing]:
    """Return who and what is in image `index` of `split`, from the front to the back."""
    rng = image_streams(settings.seed, split, index).geometry
    kind = settings.image_kind(index)
    if kind == "empty":
        return []
    short_px = min(settings.width_px, settings.height_px)
    candidates: list[tuple[Person | Part, float, bool]] = []
    if index % _CLOSE_UPS == _CLOSE_UP_OFFSET:
        candidates.append(_close_up(rng, settings))
    for number in range(int(rng.integers(1, 5))):
        # The first is in front of all others, and large enough for its keypoints to be labelled.
        low_px = 0.55 * short_px if number == 0 else 0.18 * short_px
        height_px = sample_size_px(rng, low_px, (1.5 if number == 0 else 0.9) * short_px)
        if rng.random() < _THING_SHARE and number:
            candidates.append((_thing(rng, settings, 0.5 * height_px), 0, False))
        candidates.append((_person(rng, settings, height_px), height_px, False))
    if kind == "crowd":
        candidates += [(each, height, True) for each, height in _crowd(rng, settings)]
    return _without_hidden(candidates, settings)


def _person(rng: np.random.Generator, settings: GeneratedSettings, height_px: float) -> Person:
    # The middle of the hips is in the image; heads and feet of tall people may be cut off.
    x = rng.uniform(0.08, 0.92) * settings.width_px
    y = settings.height_px * np.clip(rng.normal(0.55, 0.15), 0.2, 0.95)
    return sample_person(rng, height_px=height_px, center_px=(float(x), float(y)))


def _close_up(rng: np.random.Generator, settings: GeneratedSettings) -> tuple[Person, float, bool]:
    """Return somebody so near that only the upper part is in the image."""
    height_px = rng.uniform(2.4, 3.2) * min(settings.width_px, settings.height_px)
    x = rng.uniform(0.3, 0.7) * settings.width_px
    hips_below_head = 0.4 * height_px
    y = rng.uniform(0.25, 0.4) * settings.height_px + hips_below_head
    person = sample_person(rng, height_px=height_px, center_px=(float(x), float(y)), upright=True)
    return person, height_px, False


def _thing(rng: np.random.Generator, settings: GeneratedSettings, size_px: float) -> Part:
    shape = COCO_CLASSES[rng.integers(len(COCO_CLASSES))]
    center = rng.uniform(0.15, 0.85, 2) * (settings.width_px, settings.height_px)
    outline = place(
        shape.outline,
        rng,
        size_px=size_px,
        center_px=(float(center[0]), float(center[1])),
        turn_deg=shape.turn_deg,
    )
    return Part(outline, shape.color, shape.patterns[0], relief=1.0)


def _crowd(rng: np.random.Generator, settings: GeneratedSettings) -> list[tuple[Person, float]]:
    height_px = 0.22 * min(settings.width_px, settings.height_px)
    middle_x, y = rng.uniform(0.3, 0.7, 2) * (settings.width_px, settings.height_px)
    members = []
    for _ in range(_CROWD_MEMBERS):
        at = (middle_x + rng.normal(0, 1.2 * height_px), y + rng.normal(0, 0.15 * height_px))
        members.append((sample_person(rng, height_px=height_px, center_px=at), height_px))
    return members


def _without_hidden(
    candidates: list[tuple[Person | Part, float, bool]], settings: GeneratedSettings
) -> list[Standing]:
    """Return who and what is visible, front to back."""
    size = {"width_px": settings.width_px, "height_px": settings.height_px}
    frame, covered = box(0, 0, settings.width_px, settings.height_px), Polygon()
    kept = []
    for each, height_px, in_crowd in candidates:
        visible = visible_part(each.outline, frame=frame, covered=covered)
        if mask_area_px(exact_polygons(visible), **size) < MIN_VISIBLE_AREA_PX:
            continue
        if isinstance(each, Part):
            kept.append(Standing((each,), visible, None, in_crowd=False))
        else:
            points = np.zeros((len(each.keypoints), 3), dtype=np.int64)
            if height_px >= _SMALLEST_LABELLED_PX and not in_crowd:
                points = _annotated(each, covered, settings)
            kept.append(Standing(each.parts, visible, points, in_crowd))
        covered = covered.union(each.outline)
    return kept


def _annotated(person: Person, covered: Polygon, settings: GeneratedSettings) -> NDArray[np.int64]:
    """Return keypoints as COCO's annotators give them: whole pixels, nothing outside the image."""
    found = np.zeros((len(person.keypoints), 3), dtype=np.int64)
    for row, point, hidden, unknown in zip(
        found, person.keypoints, person.hidden, person.unknown, strict=True
    ):
        x, y = np.floor(point).astype(int)
        if unknown or not (0 <= x < settings.width_px and 0 <= y < settings.height_px):
            continue
        row[:] = x, y, 1 if hidden or covered.covers(Point(point)) else 2
    return found
