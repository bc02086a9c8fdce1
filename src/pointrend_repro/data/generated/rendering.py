"""Draws outlines into an image, back to front, anti-aliased."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from shapely.geometry import Polygon

from pointrend_repro.data.generated.classes import RGB, Pattern
from pointrend_repro.data.generated.outlines import polygon_parts
from pointrend_repro.data.generated.scenes import SceneObject
from pointrend_repro.data.generated.textures import (
    FloatImage,
    background_texture,
    object_texture,
)

# Each pixel's coverage is the mean of 4 x 4 samples.
_SUPERSAMPLING = 4
_RANDOM_COLOR_SHARE = 0.25


class Window(NamedTuple):
    """A rectangle of whole pixels in an image: `image[top:bottom, left:right]`."""

    left: int
    top: int
    right: int
    bottom: int


def render_scene(
    objects: list[SceneObject], *, width_px: int, height_px: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return the image (H, W, 3), RGB, of objects given from the front to the back."""
    image = background_texture(rng, height_px=height_px, width_px=width_px)
    light = light_direction(rng)
    for item in reversed(objects):
        color, pattern = _look(item, rng)
        paint(image, item.outline, color=color, pattern=pattern, light=light, rng=rng)
    return to_uint8(image)


def to_uint8(image: FloatImage) -> npt.NDArray[np.uint8]:
    """Return colours (3, H, W) from 0 to 255 as whole numbers (H, W, 3)."""
    planes = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def light_direction(rng: np.random.Generator) -> tuple[float, float]:
    """Return the unit vector (x, y) along which the light falls: from above, in the image."""
    angle = np.deg2rad(rng.uniform(45, 135))
    return float(np.cos(angle)), float(np.sin(angle))


def paint(
    image: FloatImage,
    outline: Polygon,
    *,
    color: RGB,
    pattern: Pattern,
    light: tuple[float, float],
    rng: np.random.Generator,
    relief: float = 1.0,
) -> None:
    """Draw one textured and shaded object, with its shadow, into `image` (3, H, W).

    Args:
        image: Changed in place.
        outline: The whole object in image pixels; it may extend beyond the image.
        color: The colour, from which the texture deviates.
        pattern: The kind of texture.
        light: The direction (x, y) in which the light falls.
        rng: Decides the texture.
        relief: How strong shading and shadow are, from 0 to 1.
    """
    left, top, right, bottom = outline.bounds
    reach_px = max(2, round(0.04 * max(right - left, bottom - top)))
    # Room for the shadow and the blur. The window may extend beyond the image, so that shading does
    # not change at the image's edge.
    window = _window(outline, margin_px=3 * reach_px if relief > 0 else 0)
    coverage = coverage_in(outline, window)
    texture = object_texture(
        rng, height_px=coverage.height, width_px=coverage.width, color=color, pattern=pattern
    )
    in_image, in_window = _overlap(window, image.shape)
    part, alpha = image[..., *in_image], _unit(coverage)
    if relief > 0:
        height = _unit(coverage.filter(ImageFilter.BoxBlur(reach_px)))
        step_x, step_y = round(light[0] * reach_px), round(light[1] * reach_px)
        away = _shifted(height, step_x, step_y)
        lit_side = away - _shifted(height, -step_x, -step_y)
        texture -= relief * rng.uniform(35, 70) * lit_side
        part *= 1 - relief * rng.uniform(0.1, 0.45) * away[in_window]
    part += alpha[in_window] * (texture[..., *in_window] - part)


def coverage_in(outline: Polygon, window: Window) -> Image.Image:
    """Return how much of each pixel of `window` the outline covers, from 0 to 255."""
    width_px, height_px = window.right - window.left, window.bottom - window.top
    scale = _SUPERSAMPLING
    fine = Image.new("L", (width_px * scale, height_px * scale))
    draw = ImageDraw.Draw(fine)
    for polygon in polygon_parts(outline):
        for ring, value in [(polygon.exterior, 255), *((hole, 0) for hole in polygon.interiors)]:
            points = (np.asarray(ring.coords) - (window.left, window.top)) * scale - 0.5
            draw.polygon(np.rint(points).ravel().tolist(), fill=value)
    return fine.reduce(scale)


def _window(outline: Polygon, *, margin_px: int) -> Window:
    left, top, right, bottom = (int(np.floor(value)) for value in outline.bounds)
    return Window(left - margin_px, top - margin_px, right + 1 + margin_px, bottom + 1 + margin_px)


def _overlap(
    window: Window, image_shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the pixels (rows, columns) where the image and the window overlap, in both frames."""
    top, bottom = max(window.top, 0), min(window.bottom, image_shape[-2])
    left, right = max(window.left, 0), min(window.right, image_shape[-1])
    rows = slice(top - window.top, bottom - window.top)
    columns = slice(left - window.left, right - window.left)
    return (slice(top, bottom), slice(left, right)), (rows, columns)


def _look(item: SceneObject, rng: np.random.Generator) -> tuple[RGB, Pattern]:
    """Return the class's colour or, now and then, any: colour alone must not reveal the class."""
    pattern = item.shape.patterns[rng.integers(len(item.shape.patterns))]
    if rng.random() < _RANDOM_COLOR_SHARE:
        red, green, blue = rng.integers(30, 230, 3).tolist()
        return (red, green, blue), pattern
    return item.shape.color, pattern


def _unit(coverage: Image.Image) -> npt.NDArray[np.float32]:
    unit: npt.NDArray[np.float32] = np.asarray(coverage, dtype=np.float32) / np.float32(255)
    return unit


def _shifted(values: npt.NDArray[np.float32], x: int, y: int) -> npt.NDArray[np.float32]:
    """Return `values` (H, W) moved by whole pixels; what leaves on one side is dropped."""
    moved = np.zeros_like(values)
    height, width = values.shape
    source = values[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
    moved[max(y, 0) : height - max(-y, 0), max(x, 0) : width - max(-x, 0)] = source
    return moved
