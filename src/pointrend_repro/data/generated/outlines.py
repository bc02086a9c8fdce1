"""Building blocks of outlines: polygons with exact geometry, of any size and around any centre.

All outlines have x to the right and y down, as in an image. Objects are scaled when they are
placed, so each outline has its own unit of length.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from shapely import affinity
from shapely.geometry import LineString, Point, Polygon
from shapely.ops import unary_union

Outline = Callable[[np.random.Generator], Polygon]
Points = Sequence[tuple[float, float]] | npt.NDArray[np.float64]


def circle(x: float, y: float, radius: float) -> Polygon:
    """Return a disc around (x, y)."""
    return Point(x, y).buffer(radius, quad_segs=16)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Polygon:
    """Return an ellipse around (x, y) with axes along x and y."""
    return affinity.scale(circle(x, y, 1.0), radius_x, radius_y)


def rounded_box(left: float, top: float, right: float, bottom: float, radius: float) -> Polygon:
    """Return a rectangle with rounded corners."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return rounded(Polygon(corners), radius)


def rounded(polygon: Polygon, radius: float) -> Polygon:
    """Return `polygon` with its convex corners rounded."""
    return polygon.buffer(-radius, join_style="mitre").buffer(radius)


def stroke(points: Points, half_width: float) -> Polygon:
    """Return a line through `points` of constant width with round ends."""
    return LineString(points).buffer(half_width, quad_segs=6)


def tapered(points: Points, half_widths: Sequence[float] | npt.NDArray[np.float64]) -> Polygon:
    """Return a band along `points` (N, 2) whose half width at point i is `half_widths[i]`."""
    line = np.asarray(points, dtype=np.float64)
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * np.asarray(half_widths)[:, None]
    return largest(Polygon(np.concatenate([line + across, (line - across)[::-1]])).buffer(0))


def arc(
    x: float, y: float, radius: float, *, start_deg: float, stop_deg: float, count: int = 32
) -> npt.NDArray[np.float64]:
    """Return `count` points (count, 2) on a circle around (x, y), between two angles."""
    angle = np.deg2rad(np.linspace(start_deg, stop_deg, count))
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def blob(rng: np.random.Generator, *, wobble: float) -> Polygon:
    """Return a smooth disc of radius about 1 whose radius varies by about `wobble`."""
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.ones_like(angle)
    for wave in (2, 3, 5):
        radius += rng.normal(0, wobble / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return Polygon(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))


def union(*parts: Polygon) -> Polygon:
    """Return the union of overlapping `parts`."""
    return largest(unary_union(parts))


def largest(geometry: Polygon) -> Polygon:
    """Return the largest polygon of a geometry, or an empty polygon if it has none."""
    polygons = polygon_parts(geometry)
    return max(polygons, key=lambda polygon: polygon.area) if polygons else Polygon()


def polygon_parts(geometry: Polygon) -> list[Polygon]:
    """Return the polygons that make up `geometry`; points and lines are dropped."""
    if geometry.geom_type == "Polygon":
        return [] if geometry.is_empty else [geometry]
    if not hasattr(geometry, "geoms"):
        return []
    return [polygon for member in geometry.geoms for polygon in polygon_parts(member)]
