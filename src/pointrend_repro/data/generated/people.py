"""People with clothes on articulated limbs, and which of their keypoints they hide themselves."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry import Point, Polygon
from shapely.ops import unary_union

from pointrend_repro.data.generated.classes import RGB, Pattern
from pointrend_repro.data.generated.outlines import circle, ellipse, largest
from pointrend_repro.data.generated.poses import Body, sample_body
from pointrend_repro.data.keypoints import COCO_PERSON

_SKIN: tuple[RGB, ...] = ((236, 195, 165), (205, 155, 115), (150, 100, 70), (95, 62, 45))
_HAIR: tuple[RGB, ...] = ((40, 30, 25), (90, 60, 35), (190, 150, 90), (120, 120, 120))
_CLOTH_PATTERNS: tuple[Pattern, ...] = ("plain", "mottled", "stripes", "spots")

# A part of the face this far behind the middle of the head cannot be seen.
_BEHIND = -0.01


class Part(NamedTuple):
    """A piece of a person, painted with one texture.

    Attributes:
        outline: in pixels of the image.
        color, pattern: its look.
        holds: the keypoints that lie in it.
        relief: how strong shading and shadow are.
    """

    outline: Polygon
    color: RGB
    pattern: Pattern
    holds: tuple[str, ...] = ()
    relief: float = 0.6


class Person(NamedTuple):
    """A drawn person.

    Attributes:
        parts: from the back to the front.
        outline: of all parts.
        keypoints: x and y of COCO's 17, in pixels, (17, 2).
        hidden: which of them other parts of the same person hide, (17,).
        unknown: which of them nobody could point at: a face seen from behind, (17,).
    """

    parts: tuple[Part, ...]
    outline: Polygon
    keypoints: NDArray[np.float64]
    hidden: NDArray[np.bool_]
    unknown: NDArray[np.bool_]


def sample_person(
    rng: np.random.Generator,
    *,
    height_px: float,
    center_px: tuple[float, float],
    upright: bool = False,
) -> Person:
    """Draw a person.

    Args:
        rng: decides pose, build and clothes.
        height_px: the height that the person would have upright.
        center_px: where the middle of the hips is.
        upright: whether the person does not lean or lie.
    """
    body = sample_body(rng)
    parts = _parts(body, rng)
    tilt_deg = rng.normal(0, 6) if rng.random() < 0.9 else rng.choice([-1, 1]) * rng.uniform(60, 90)
    turn = 0.0 if upright else np.deg2rad(tilt_deg)
    scale = height_px * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = [*scale.ravel(), *center_px]
    placed = [p._replace(outline=affinity.affine_transform(p.outline, matrix)) for p in parts]
    flat = np.stack([body.joints[name][:2] for name in COCO_PERSON])
    # Not as a product of matrices, whose last bits depend on the processor.
    keypoints = flat[:, :1] * scale[:, 0] + flat[:, 1:] * scale[:, 1] + center_px
    return Person(
        parts=tuple(placed),
        outline=largest(unary_union([part.outline for part in placed])),
        keypoints=keypoints,
        hidden=_hidden(placed, keypoints),
        unknown=_unknown(body),
    )


def _hidden(parts: list[Part], keypoints: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a part lies on each keypoint that is in front of the part that holds it."""
    hidden = np.zeros(len(COCO_PERSON), dtype=bool)
    for index, (name, point) in enumerate(zip(COCO_PERSON, keypoints, strict=True)):
        own = [place for place, part in enumerate(parts) if name in part.holds]
        in_front = parts[max(own) + 1 :]
        hidden[index] = any(part.outline.covers(Point(point)) for part in in_front)
    return hidden


def _unknown(body: Body) -> NDArray[np.bool_]:
    depth = {name: body.joints[name][2] - body.joints["head"][2] for name in COCO_PERSON}
    return np.array([index < 5 and depth[n] < _BEHIND for index, n in enumerate(COCO_PERSON)])


def _parts(body: Body, rng: np.random.Generator) -> list[Part]:
    """Return the parts from the back to the front, in shares of the height."""
    skin, hair = _one_of(rng, _SKIN), _one_of(rng, _HAIR)
    shirt, trousers = _any_color(rng), _any_color(rng)
    cloth = _CLOTH_PATTERNS[rng.integers(len(_CLOTH_PATTERNS))]
    build = float(rng.uniform(0.85, 1.3))
    sleeve = skin if rng.random() < 0.5 else shirt
    layers: list[tuple[float, list[Part]]] = [
        (0.0, [_torso(body, build, shirt, cloth)]),
        (0.001, _head(body, skin, hair)),
    ]
    for side in ("left", "right"):
        arm, leg = _arm(body, side, build, (shirt, sleeve, skin)), _leg(body, side, build, trousers)
        layers += [(_depth(body, side, "wrist", "elbow"), arm)]
        layers += [(_depth(body, side, "knee", "ankle"), leg)]
    return [part for _, parts in sorted(layers, key=lambda layer: layer[0]) for part in parts]


def _one_of(rng: np.random.Generator, colors: tuple[RGB, ...]) -> RGB:
    return colors[rng.integers(len(colors))]


def _any_color(rng: np.random.Generator) -> RGB:
    red, green, blue = rng.integers(20, 236, 3).tolist()
    return red, green, blue


def _depth(body: Body, side: str, *joints: str) -> float:
    return float(np.mean([body.joints[f"{side}_{joint}"][2] for joint in joints]))


def _round(body: Body, joint: str, radius: float) -> Polygon:
    x, y, _ = body.joints[joint]
    return circle(x, y, radius)


def _darker(color: RGB, share: float) -> RGB:
    red, green, blue = color
    return int(share * red), int(share * green), int(share * blue)


def _limb(body: Body, names: list[str], half_widths: list[float]) -> Polygon:
    """Return a limb through joints, round at each of them."""
    rounds = [_round(body, name, width) for name, width in zip(names, half_widths, strict=True)]
    return largest(unary_union([unary_union(pair).convex_hull for pair in pairwise(rounds)]))


def _arm(body: Body, side: str, build: float, colors: tuple[RGB, RGB, RGB]) -> list[Part]:
    shirt, sleeve, skin = colors
    names = [f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"]
    widths = [0.038 * build, 0.03 * build, 0.02 * build]
    x, y, _ = body.joints[names[2]] + 0.12 * (body.joints[names[2]] - body.joints[names[1]])
    return [
        Part(circle(x, y, 0.027), skin, "plain", (names[2],)),
        Part(_limb(body, names[1:], widths[1:]), sleeve, "plain", (names[1], names[2])),
        Part(_limb(body, names[:2], widths[:2]), shirt, "plain", (names[0], names[1], names[2])),
    ]


def _leg(body: Body, side: str, build: float, color: RGB) -> list[Part]:
    hip, knee, ankle = (f"{side}_{joint}" for joint in ("hip", "knee", "ankle"))
    x, y, _ = body.joints[ankle]
    forwards = 0.055 * np.sin(np.deg2rad(body.yaw_deg))
    toes = unary_union([circle(x, y + 0.02, 0.026), circle(x + forwards, y + 0.032, 0.02)])
    leg = _limb(body, [hip, knee, ankle], [0.055 * build, 0.04 * build, 0.026 * build])
    return [
        Part(toes.convex_hull, (50, 45, 45), "plain", (ankle,)),
        Part(leg, color, "mottled", (hip, knee, ankle)),
    ]


def _torso(body: Body, build: float, color: RGB, pattern: Pattern) -> Part:
    ends = [
        _round(body, f"{side}_{joint}", width * build)
        for side in ("left", "right")
        for joint, width in (("shoulder", 0.035), ("hip", 0.05))
    ]
    chest = circle(0, 0.72 * body.joints["neck"][1], 0.075 * build)
    holds = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "hip"))
    return Part(unary_union([*ends, chest]).convex_hull, color, pattern, holds)


def _head(body: Body, skin: RGB, hair: RGB) -> list[Part]:
    head_x, head_y, _ = body.joints["head"]
    wide, high = 0.062, 0.082
    neck_x, neck_y, _ = body.joints["neck"]
    neck = unary_union([circle(neck_x, neck_y, 0.03), circle(head_x, head_y + 0.04, 0.03)])
    skull = ellipse(head_x, head_y, wide, high)
    yaw = np.deg2rad(body.yaw_deg)
    # Hair covers the top, and whatever of the head is turned away.
    face = ellipse(head_x + 0.03 * np.sin(yaw), head_y + 0.035, wide, high)
    cover = ellipse(head_x, head_y - 0.008, wide * 1.12, high * 1.1)
    if np.cos(yaw) > -0.5:
        cover = largest(cover.difference(face))
    faces = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    parts = [
        Part(neck.convex_hull, skin, "plain"),
        Part(skull, skin, "plain", faces),
        Part(cover, hair, "mottled", faces),
    ]
    for name, radius, color in (
        *((f"{side}_ear", 0.015, _darker(skin, 0.85)) for side in ("left", "right")),
        *((f"{side}_eye", 0.011, (30, 25, 25)) for side in ("left", "right")),
        ("nose", 0.012, _darker(skin, 0.75)),
    ):
        x, y, depth = body.joints[name]
        if depth - body.joints["head"][2] >= _BEHIND:
            parts.append(Part(circle(x, y, radius), color, "plain", faces, relief=0.0))
    return parts
