"""The outlines of street objects, seen from the side."""

import numpy as np
from shapely import affinity
from shapely.geometry import Polygon

from pointrend_repro.data.generated.coco_shapes import bicycle
from pointrend_repro.data.generated.outlines import (
    arc,
    circle,
    ellipse,
    rounded,
    rounded_box,
    stroke,
    tapered,
    union,
)

__all__ = [
    "bicycle",
    "bus",
    "car",
    "motorcycle",
    "person",
    "pole",
    "rider",
    "traffic_sign",
    "train",
    "tree",
    "truck",
]


def car(rng: np.random.Generator) -> Polygon:
    """A body with a cabin, two wheels and a mirror."""
    front, back = rng.uniform(-1.0, -0.7), rng.uniform(0.7, 1.3)
    roof_y = rng.uniform(-0.85, -0.65)
    profile = [(-2, 0.1), (-1.9, -0.2), (front, -0.3), (front + 0.55, roof_y), (back - 0.3, roof_y)]
    profile += [(back + 0.4, -0.25), (2, -0.2), (2.05, 0.35), (-2, 0.35)]
    body = rounded(Polygon(profile), 0.07)
    mirror = ellipse(front + 0.15, -0.42, 0.1, 0.07)
    wheels = [circle(x, 0.38, 0.33) for x in (-1.25, 1.25)]
    return union(body, *wheels, stroke([(front + 0.15, -0.42), (front + 0.3, -0.3)], 0.04), mirror)


def truck(rng: np.random.Generator) -> Polygon:
    """A cab, a box and a gap between the two."""
    box_top = rng.uniform(-2.0, -1.5)
    front = [(-2.2, 0.4), (-2.2, -0.5), (-1.9, -1.2), (-1.1, -1.2), (-1.1, 0.4)]
    cab = rounded(Polygon(front), 0.08)
    load = rounded_box(-0.95, box_top, 2.4, 0.3, 0.05)
    chassis = rounded_box(-2.1, 0.2, 2.4, 0.45, 0.03)
    wheels = [circle(x, 0.5, 0.32) for x in (-1.65, 1.2, 1.9)]
    return union(cab, load, chassis, *wheels)


def bus(rng: np.random.Generator) -> Polygon:
    """A long box with wheels and a mirror on an arm."""
    length = rng.uniform(2.2, 2.8)
    body = rounded_box(-length, -1.5, length, 0.35, 0.18)
    mirror = tapered([(-length, -1.2), (-length - 0.2, -1.1), (-length - 0.2, -0.7)], [0.05] * 3)
    wheels = [circle(x, 0.38, 0.32) for x in (-0.6 * length, 0.55 * length)]
    return union(body, mirror, *wheels)


def train(rng: np.random.Generator) -> Polygon:
    """A very long box with a slanted nose and a pantograph."""
    body = rounded(Polygon([(-4, 0.4), (-3.4, -1.2), (4, -1.2), (4, 0.4)]), 0.15)
    x = rng.uniform(-1.5, 1.5)
    pantograph = stroke([(x, -1.15), (x + 0.4, -1.5), (x, -1.8), (x + 0.6, -1.8)], 0.04)
    bogies = [rounded_box(x, 0.3, x + 1.1, 0.7, 0.1) for x in (-3.0, -0.5, 2.2)]
    return union(body, pantograph, *bogies)


def person(rng: np.random.Generator) -> Polygon:
    """A head, a trunk, arms and walking legs."""
    stride, swing = rng.uniform(0.05, 0.35), rng.uniform(-0.3, 0.3)
    elbow_x = 0.26 + abs(swing) / 2
    legs = [
        tapered([(0, 0.0), (side * stride * 0.6, 0.45), (side * stride, 0.95)], [0.15, 0.1, 0.065])
        for side in (-1, 1)
    ]
    feet = [stroke([(side * stride, 0.95), (side * stride - 0.12, 0.97)], 0.05) for side in (-1, 1)]
    arms = [
        stroke([(side * 0.17, -0.58), (side * elbow_x, -0.25), (side * 0.22 + swing, 0.02)], 0.055)
        for side in (-1, 1)
    ]
    trunk = tapered([(0, -0.7), (0, -0.3), (0, 0.08)], [0.19, 0.18, 0.17])
    return union(_head(0.0, -0.86), trunk, *legs, *feet, *arms)


def rider(rng: np.random.Generator) -> Polygon:
    """A person sitting and leaning forward to a handlebar."""
    lean = rng.uniform(0.3, 0.5)
    trunk = tapered([(0, 0.1), (lean * 0.5, -0.25), (lean, -0.62)], [0.16, 0.17, 0.15])
    leg = stroke([(0.02, 0.08), (0.42, 0.25), (0.3, 0.72), (0.42, 0.75)], 0.085)
    other = stroke([(0.02, 0.08), (0.28, 0.42), (0.05, 0.75), (0.16, 0.78)], 0.075)
    arm = stroke([(lean, -0.55), (lean + 0.12, -0.2), (0.85, -0.12)], 0.055)
    return union(trunk, leg, other, arm, _head(lean + 0.07, -0.82))


def _head(x: float, y: float) -> Polygon:
    return union(ellipse(x, y, 0.1, 0.13), stroke([(x, y), (x, y + 0.2)], 0.06))


def motorcycle(rng: np.random.Generator) -> Polygon:
    """Two wheels with a hole each, an engine, a seat and a handlebar."""
    hub = rng.uniform(0.1, 0.2)
    wheels = []
    for x in (-0.85, 0.85):
        rim = circle(x, 0.4, 0.42).difference(circle(x, 0.4, 0.3))
        spokes = [
            stroke([(x, 0.4), tuple(arc(x, 0.4, 0.35, start_deg=d, stop_deg=d, count=1)[0])], 0.04)
            for d in (90.0, 210.0, 330.0)
        ]
        wheels.append(union(rim, circle(x, 0.4, hub), *spokes))
    body = rounded(Polygon([(-0.55, 0.5), (-0.6, 0.0), (0.45, -0.2), (0.4, 0.5)]), 0.1)
    seat = tapered([(-1.0, -0.22), (-0.5, -0.1), (0.1, -0.12)], [0.05, 0.12, 0.08])
    fork_tube = stroke([(0.85, 0.4), (0.5, -0.35), (0.3, -0.45)], 0.06)
    tank = tapered([(-0.1, -0.1), (0.25, -0.2), (0.55, -0.2)], [0.1, 0.14, 0.07])
    swing_arm = stroke([(-0.85, 0.4), (-0.2, 0.2)], 0.07)
    return union(*wheels, body, seat, tank, fork_tube, swing_arm)


def pole(rng: np.random.Generator) -> Polygon:
    """A thin mast with an arm and a lamp."""
    reach = rng.choice([-1, 1]) * rng.uniform(0.3, 0.7)
    mast = stroke([(0, 1), (0, -2.4), (reach, -2.55)], 0.035)
    return union(mast, ellipse(reach, -2.53, 0.16, 0.05))


def traffic_sign(rng: np.random.Generator) -> Polygon:
    """An octagon, a triangle or a disc."""
    corners = int(rng.choice([3, 8, 40]))
    turn_deg = 90 if corners == 3 else 22.5
    return Polygon(arc(0, 0, 1, start_deg=turn_deg, stop_deg=turn_deg + 360, count=corners + 1))


def tree(rng: np.random.Generator) -> Polygon:
    """A crown of many lobes down to the ground, with gaps."""
    lobes = [ellipse(0, 0, 0.7, 0.6)]
    for deg in np.arange(0.0, 360.0, 20.0):
        x, y = arc(0, 0, 0.75, start_deg=deg, stop_deg=deg, count=1)[0]
        lobes.append(circle(x, y * 0.85, rng.uniform(0.12, 0.25)))
    trunk = tapered([(0, 0), (0, 0.9), (0, 1.6)], [0.12, 0.1, 0.14])
    crown = union(*lobes, trunk)
    for x, y in rng.uniform(-0.55, 0.55, (4, 2)):
        gap = affinity.rotate(ellipse(x, y, 0.09, 0.04), rng.uniform(0, 180))
        crown = crown.difference(gap)
    return crown
