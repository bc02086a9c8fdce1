"""The outlines of the COCO classes: holed, spiky, smooth and thin ones."""

import numpy as np
from shapely import affinity
from shapely.geometry import Polygon

from pointrend_repro.data.generated.outlines import (
    arc,
    blob,
    circle,
    ellipse,
    stroke,
    tapered,
    union,
)
from pointrend_repro.data.generated.same_everywhere import power


def donut(rng: np.random.Generator) -> Polygon:
    """A ring: smooth, with one hole."""
    hole_radius = rng.uniform(0.28, 0.42)
    hole = affinity.scale(blob(rng, wobble=0.05), hole_radius, hole_radius)
    return blob(rng, wobble=0.04).difference(hole)


def kite(rng: np.random.Generator) -> Polygon:
    """A sail with notched edges and a thin tail of bows: spiky."""
    width, nose, foot = rng.uniform(0.6, 0.85), -0.9, rng.uniform(0.9, 1.3)
    side = [(0.42 * width, -0.42), (width, -0.15), (0.4 * width, 0.22)]
    sail = Polygon([(0, nose), *side, (0, foot), *((-x, y) for x, y in reversed(side))])
    tail_y = np.linspace(foot - 0.05, foot + 1.1, 24)
    phase, sway = rng.uniform(0, 6), rng.uniform(0.08, 0.2)
    tail_x = sway * (np.sin(4 * tail_y + phase) - np.sin(4 * tail_y[0] + phase))
    bows = [_bow(tail_x[i], tail_y[i], 0.17) for i in (9, 16, 23)]
    return union(sail, stroke(np.stack([tail_x, tail_y], axis=1), 0.035), *bows)


def _bow(x: float, y: float, size: float) -> Polygon:
    left = [(x - size, y - size * 0.7), (x + 0.03, y), (x - size, y + size * 0.7)]
    right = [(x + size, y - size * 0.7), (x - 0.03, y), (x + size, y + size * 0.7)]
    return union(Polygon(left), Polygon(right), circle(x, y, 0.05))


def banana(rng: np.random.Generator) -> Polygon:
    """A crescent with a stem: smooth."""
    bend = rng.uniform(55, 80)
    line = arc(0, -1, 1.2, start_deg=90 - bend, stop_deg=90 + bend, count=40)
    position = np.linspace(0, 1, 40)
    body = power(np.sin(np.pi * np.clip(position * 1.08 - 0.06, 0, 1)), 0.55)
    return tapered(line, rng.uniform(0.2, 0.27) * np.maximum(body, 0.14))


def orange(rng: np.random.Generator) -> Polygon:
    """A disc with a stalk and a leaf: smooth."""
    stalk = stroke([(0, -0.9), (0.05, -1.18)], 0.05)
    leaf_line = arc(0.5, -0.6, 0.65, start_deg=-135, stop_deg=-60, count=20)
    leaf = tapered(leaf_line, 0.02 + 0.13 * np.sin(np.linspace(0, np.pi, 20)))
    return union(blob(rng, wobble=0.025), stalk, leaf)


def scissors(rng: np.random.Generator) -> Polygon:
    """Two crossed blades with ring handles: thin, with holes."""
    spread_deg = rng.uniform(14, 28)
    blade = tapered([(0, -1.6), (0.02, -1.1), (0.05, 0.0), (0.0, 0.7)], [0.008, 0.07, 0.13, 0.07])
    handle = ellipse(0.12, 1.05, 0.3, 0.42).difference(ellipse(0.12, 1.05, 0.19, 0.31))
    half = union(blade, handle)
    mirrored = affinity.scale(half, -1, 1, origin=(0, 0))
    return union(
        affinity.rotate(half, -spread_deg, origin=(0, 0)),
        affinity.rotate(mirrored, spread_deg, origin=(0, 0)),
    )


def fork(rng: np.random.Generator) -> Polygon:
    """A slender handle with tines: thin and spiky."""
    tines = int(rng.integers(3, 5))
    width = rng.uniform(0.26, 0.34)
    handle_line = [(0.0, 0.0), (0.0, 0.5), (0.0, 1.2), (0.0, 1.6), (0.0, 1.72)]
    handle = tapered(handle_line, [0.08, 0.05, 0.08, 0.11, 0.04])
    palm = tapered([(0, -0.45), (0, -0.15), (0, 0.1)], [width, 0.85 * width, 0.07])
    half_tine = 0.55 * width / (tines - 0.3)
    teeth = [
        tapered([(x, -0.4), (x, -0.9), (x, -1.15)], [half_tine, half_tine, half_tine * 0.25])
        for x in np.linspace(-width + half_tine, width - half_tine, tines)
    ]
    return union(handle, palm, *teeth)


def umbrella(rng: np.random.Generator) -> Polygon:
    """A canopy with a scalloped rim and a thin hooked shaft."""
    panels = int(rng.integers(4, 7))
    top = arc(0, 0, 1.0, start_deg=180, stop_deg=360, count=48)
    canopy = affinity.scale(Polygon(top), 1, rng.uniform(0.7, 0.95), origin=(0, 0))
    for left, right in zip(range(panels), range(1, panels + 1), strict=True):
        middle = -1 + (left + right) / panels
        canopy = canopy.difference(ellipse(middle, 0.03, 1 / panels, 0.17))
    hook = arc(0.14, 0.95, 0.14, start_deg=180, stop_deg=0, count=16)
    shaft = stroke([(0, -1.05), (0, 0.95), *map(tuple, hook)], 0.035)
    return union(canopy, shaft)


def bicycle(rng: np.random.Generator) -> Polygon:
    """Two spoked wheels and a frame of tubes: thin, with many holes."""
    wheels = [_wheel(x, 0.45, rng.uniform(0, 36)) for x in (-0.85, 0.85)]
    crank, seat, head = (-0.1, 0.42), (-0.3, -0.35), (0.55, -0.3)
    tubes = [
        [(-0.85, 0.45), crank, head, seat, crank],
        [(-0.85, 0.45), seat, (-0.35, -0.5)],
        [(0.85, 0.45), head, (0.5, -0.6), (0.72, -0.68)],
    ]
    frame = [stroke(tube, 0.045) for tube in tubes]
    saddle = tapered([(-0.55, -0.55), (-0.4, -0.53), (-0.15, -0.52)], [0.07, 0.08, 0.03])
    return union(*wheels, *frame, saddle, circle(*crank, 0.12))


def _wheel(x: float, y: float, turn_deg: float) -> Polygon:
    rim = circle(x, y, 0.55).difference(circle(x, y, 0.47))
    spokes = [
        stroke([(x, y), tuple(arc(x, y, 0.5, start_deg=deg, stop_deg=deg, count=1)[0])], 0.014)
        for deg in turn_deg + np.arange(0.0, 360.0, 45.0)
    ]
    return union(rim, circle(x, y, 0.08), *spokes)


def bird(rng: np.random.Generator) -> Polygon:
    """A body with feathered wings: smooth and spiky."""
    body = ellipse(0, 0, 0.62, 0.2)
    head = union(circle(0.62, -0.1, 0.17), Polygon([(0.74, -0.18), (1.0, -0.06), (0.74, -0.02)]))
    tail = Polygon([(-0.4, 0.1), (-1.1, 0.12), (-0.95, 0.0), (-1.12, -0.08), (-0.45, -0.1)])
    far = _wing(rng, shoulder=(0.12, -0.05), lean_deg=rng.uniform(-78, -60))
    near = _wing(rng, shoulder=(-0.05, -0.05), lean_deg=rng.uniform(-125, -105))
    return union(body, head, tail, far, near)


def _wing(rng: np.random.Generator, *, shoulder: tuple[float, float], lean_deg: float) -> Polygon:
    feathers = int(rng.integers(6, 9))
    line = [(0, 0), (0.5, 0.05), (1.15, 0)]
    parts = [tapered(line, [0.2, 0.16, 0.02])]
    for x in np.linspace(0.1, 1.0, feathers):
        tip = (x + 0.2, 0.52 - 0.28 * x)
        parts.append(tapered([(x, 0.0), (x + 0.1, 0.25), tip], [0.1, 0.075, 0.004]))
    wing = affinity.rotate(union(*parts), lean_deg, origin=(0, 0))
    return affinity.translate(wing, *shoulder)


def broccoli(rng: np.random.Generator) -> Polygon:
    """A lobed crown on a forked stalk."""
    crown = [circle(0, -0.35, 0.5)]
    for deg in np.arange(150.0, 400.0, 24.0):
        x, y = arc(0, -0.35, 0.55, start_deg=deg, stop_deg=deg, count=1)[0]
        crown.append(circle(x * 1.25, y, rng.uniform(0.16, 0.26)))
    stalk = tapered([(0, -0.2), (0, 0.35), (0.03, 0.85)], [0.3, 0.17, 0.21])
    branches = [stroke([(0, 0.35), (side * 0.55, -0.15)], 0.09) for side in (-1, 1)]
    return union(*crown, stalk, *branches)


def starfish(rng: np.random.Generator) -> Polygon:
    """Five arms around a centre."""
    arms = []
    for deg in np.arange(0, 360, 72) + rng.normal(0, 4, 5):
        tip = arc(0, 0, rng.uniform(0.9, 1.1), start_deg=deg, stop_deg=deg, count=1)[0]
        arms.append(tapered([(0, 0), tip * 0.5, tip], [0.3, 0.2, 0.04]))
    return union(circle(0, 0, 0.33), *arms)
