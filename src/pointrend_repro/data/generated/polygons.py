"""Outlines as annotations: polygons with holes, coarse polygons, run lengths, boxes and areas.

The frame of COCO and LVIS polygons is the image in pixels with pixel edges at whole numbers: pixel
(0, 0) covers [0, 1] x [0, 1].
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils
from shapely.geometry import LineString, Point, Polygon, box
from shapely.ops import nearest_points

from pointrend_repro.data.generated.outlines import polygon_parts

FlatPolygon = list[float]

# Slivers of a visible part that are smaller than this get no polygon.
MIN_PART_AREA_PX = 4.0

# The coarseness of COCO annotations, in pixels and as shares of the square root of the area.
_GAP_SHARE = 0.03
_TOLERANCE_PX, _TOLERANCE_SHARE = 0.5, 0.025
_JITTER_PX, _JITTER_SHARE = 0.2, 0.01


def keyhole_ring(polygon: Polygon) -> npt.NDArray[np.float64]:
    """Return one closed ring (N, 2) that runs around the polygon and its holes.

    A seam of zero width joins each hole to the outside. It is walked once in each direction, so
    the even-odd rule of polygon rasterisers leaves the holes open.
    """
    ring = np.asarray(polygon.exterior.coords)[:, :2]
    holes = list(polygon.interiors)
    while holes:
        line = LineString(ring)
        # The shortest seam cannot cross another hole, since that hole would be nearer.
        nearest = min(holes, key=line.distance)
        holes.remove(nearest)
        on_ring, on_hole = nearest_points(line, nearest)
        outside = _start_at(ring, on_ring)
        inside = _start_at(np.asarray(nearest.coords)[:, :2], on_hole)
        ring = np.concatenate([outside, inside, outside[:1]])
    return ring


def _start_at(ring: npt.NDArray[np.float64], point: Point) -> npt.NDArray[np.float64]:
    """Return the closed `ring`, rotated to start and end at `point`, which lies on it."""
    lengths = np.linalg.norm(np.diff(ring, axis=0), axis=1)
    distance = LineString(ring).project(point)
    segment = int(np.searchsorted(np.cumsum(lengths), distance))
    segment = min(segment, len(lengths) - 1)
    here = np.array([[point.x, point.y]])
    return np.concatenate([here, ring[segment + 1 :], ring[1 : segment + 1], here])


def exact_polygons(visible: Polygon) -> list[FlatPolygon]:
    """Return the visible part of an object as COCO polygons [x0, y0, x1, ...], holes cut out."""
    parts = [part for part in polygon_parts(visible) if part.area >= MIN_PART_AREA_PX]
    return [_flat(keyhole_ring(part)) for part in parts]


def coarse_polygons(
    visible: Polygon, *, width_px: int, height_px: int, rng: np.random.Generator
) -> list[FlatPolygon]:
    """Return the visible part as a COCO annotator draws it: few, inexact points, holes filled.

    Args:
        visible: The exact visible part, in image pixels.
        width_px: Width of the image, to which the polygons are clipped.
        height_px: Height of the image.
        rng: Moves the points.
    """
    scale_px = float(np.sqrt(visible.area))
    frame = box(0, 0, width_px, height_px)
    gap_px = _GAP_SHARE * scale_px
    closed = visible.buffer(gap_px, quad_segs=2).buffer(-gap_px, quad_segs=2)
    smallest_px = max(MIN_PART_AREA_PX, 0.02 * visible.area)
    flat = []
    for part in polygon_parts(closed):
        if part.area < smallest_px:
            continue
        simple = Polygon(part.exterior).simplify(_TOLERANCE_PX + _TOLERANCE_SHARE * scale_px)
        jittered = _jittered(simple, _JITTER_PX + _JITTER_SHARE * scale_px, rng)
        for piece in polygon_parts(jittered.intersection(frame)):
            if piece.area >= MIN_PART_AREA_PX:
                flat.append(_flat(np.asarray(piece.exterior.coords)))
    return flat or exact_polygons(visible)


def _jittered(polygon: Polygon, sigma_px: float, rng: np.random.Generator) -> Polygon:
    points = np.asarray(polygon.exterior.coords)[:-1]
    return Polygon(points + rng.normal(0, sigma_px, points.shape)).buffer(0)


def _flat(ring: npt.NDArray[np.float64]) -> FlatPolygon:
    # Closed implicitly, two decimals: as in the official files.
    return [float(value) for value in np.round(ring[:-1], 2).ravel()]


def encode(polygons: list[FlatPolygon], *, width_px: int, height_px: int) -> dict[str, Any]:
    """Return the run-length encoding (pycocotools) of the union of `polygons`."""
    encoded: dict[str, Any] = mask_utils.merge(
        mask_utils.frPyObjects(polygons, height_px, width_px)
    )
    return encoded


def mask_area_px(polygons: list[FlatPolygon], *, width_px: int, height_px: int) -> float:
    """Return the number of pixels whose centre lies in one of `polygons`."""
    if not polygons:
        return 0.0
    return float(mask_utils.area(encode(polygons, width_px=width_px, height_px=height_px)))


def bounding_box(polygons: list[FlatPolygon]) -> list[float]:
    """Return [x, y, width, height] around all points of `polygons`."""
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    low, high = points.min(axis=0), points.max(axis=0)
    return [round(float(value), 2) for value in (*low, *(high - low))]


def uncompressed_rle(mask: npt.NDArray[np.uint8]) -> dict[str, list[int]]:
    """Return a mask (H, W) of 0 and 1 as COCO's uncompressed runs, column by column, 0 first."""
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(pixels)) + 1
    edges = np.concatenate([[0], changes, [pixels.size]])
    counts = np.diff(edges).tolist()
    return {"counts": [0, *counts] if pixels[0] else counts, "size": list(mask.shape)}
