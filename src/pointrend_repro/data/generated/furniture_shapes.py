"""The outlines of furniture: large, mostly straight, and open between boards, bars and legs."""

import numpy as np
from shapely.geometry import Polygon, box

from pointrend_repro.data.generated.outlines import circle, ellipse, rounded_box, stroke, union


def shelf(rng: np.random.Generator) -> Polygon:
    """A frame around compartments, of which some are closed by doors."""
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    width, height, board = rng.uniform(0.7, 1.1), rng.uniform(0.9, 1.3), 0.08
    xs, ys = np.linspace(0, width, columns + 1), np.linspace(0, height, rows + 1)
    uprights = [_upright(x, 0, height, board) for x in xs]
    boards = [_plank(0, width, y, board) for y in ys]
    # Of each column the upper compartments are open, one at least.
    closed = rng.integers(1, rows + 1, columns)
    doors = [box(xs[k], ys[first], xs[k + 1], height) for k, first in enumerate(closed)]
    return union(*uprights, *boards, *doors)


def dining_chair(rng: np.random.Generator) -> Polygon:
    """A back of bars above a padded seat, legs and a rung below it."""
    width, bars = rng.uniform(0.6, 0.75), int(rng.integers(2, 4))
    back = [_upright(x, 0, 0.6, 0.1) for x in np.linspace(0, width, bars + 1)]
    legs = [_upright(x, 0.6, 1.1, 0.1) for x in (0, width)]
    rung = _plank(0, width, rng.uniform(0.85, 0.95), 0.07)
    return union(*back, _plank(0, width, 0, 0.22), _plank(0, width, 0.6, 0.2), *legs, rung)


def bar_stool(rng: np.random.Generator) -> Polygon:
    """A seat on long, spread legs, with rungs."""
    spread = rng.uniform(0.32, 0.42)
    seat = rounded_box(-0.32, -0.12, 0.32, 0.1, 0.08)
    legs = [stroke([(side * 0.2, 0), (side * spread, 1.1)], 0.05) for side in (-1, 1)]
    rungs = [_rung(spread, y) for y in (rng.uniform(0.35, 0.5), rng.uniform(0.7, 0.9))]
    return union(seat, *legs, *rungs)


def tea_table(rng: np.random.Generator) -> Polygon:
    """A thick top on legs, and a lower shelf."""
    height = rng.uniform(0.5, 0.8)
    legs = [_upright(x, 0, height, 0.12) for x in (-0.7, 0.7)]
    top = rounded_box(-0.9, -0.12, 0.9, 0.1, 0.05)
    return union(top, *legs, _plank(-0.7, 0.7, rng.uniform(0.65, 0.85) * height, 0.12))


def bed_frame(rng: np.random.Generator) -> Polygon:
    """Two ends of bars, and a mattress between them that leaves room below."""
    length, bars = rng.uniform(1.1, 1.4), int(rng.integers(2, 4))
    head = _end(0, 0.5, -0.55, bars)
    foot = _end(length - 0.35, length, -0.3, bars)
    legs = [_upright(x, 0.1, 0.7, 0.1) for x in (0, length)]
    mattress = rounded_box(0, -0.05, length, rng.uniform(0.38, 0.48), 0.08)
    return union(*head, *foot, mattress, *legs)


def armchair(rng: np.random.Generator) -> Polygon:
    """A padded back and seat between arms that are open below."""
    half = rng.uniform(0.38, 0.48)
    back = rounded_box(-half, -0.6, half, 0.15, 0.15)
    seat = rounded_box(-half, 0.1, half, 0.45, 0.06)
    parts = [back, seat]
    for side in (-1, 1):
        inner, outer = side * (half - 0.04), side * (half + 0.25)
        rail = [(inner, -0.15), (outer, -0.12), (outer, 0.62), (outer, 0.32), (inner, 0.32)]
        parts.append(stroke(rail, 0.06))
    return union(*parts)


def dressing_table(rng: np.random.Generator) -> Polygon:
    """A mirror's frame without its glass, on a table with a drawer on one side."""
    radius = rng.uniform(0.34, 0.44)
    mirror = ellipse(0, -0.46, radius, 0.45).difference(ellipse(0, -0.46, radius - 0.1, 0.34))
    drawers = box(0.1, 0, 0.6, rng.uniform(0.35, 0.5))
    legs = [_upright(x, 0, 0.7, 0.1) for x in (-0.6, 0.6)]
    rung = _plank(-0.6, 0.6, 0.6, 0.07)
    return union(mirror, _plank(-0.65, 0.65, 0, 0.18), drawers, *legs, rung)


def pendant_lamp(rng: np.random.Generator) -> Polygon:
    """A broad ring with a bulb in it, on a cord."""
    outer, cord = rng.uniform(0.5, 0.6), rng.uniform(0.3, 0.6)
    ring = circle(0, 0, outer).difference(circle(0, 0, outer - rng.uniform(0.14, 0.2)))
    bulb = [circle(0, 0.02, 0.17), stroke([(0, 0), (0, -outer)], 0.04)]
    return union(ring, *bulb, stroke([(0, -outer + 0.02), (0, -outer - cord)], 0.035))


def _upright(x: float, top: float, bottom: float, width: float) -> Polygon:
    return box(x - width / 2, top - width / 2, x + width / 2, bottom + width / 2)


def _plank(left: float, right: float, y: float, width: float) -> Polygon:
    return box(left - width / 2, y - width / 2, right + width / 2, y + width / 2)


def _rung(spread: float, y: float) -> Polygon:
    reach = 0.2 + (spread - 0.2) * y / 1.1
    return stroke([(-reach, y), (reach, y)], 0.04)


def _end(left: float, right: float, top: float, bars: int) -> list[Polygon]:
    """Return the bars of one end of a bed, and the rail above them."""
    uprights = [_upright(x, top, 0.1, 0.08) for x in np.linspace(left, right, bars + 1)]
    return [*uprights, _plank(left, right, top, 0.12)]
