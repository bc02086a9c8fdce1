"""Seeded textures: arrays (3, H, W) of float32 colours, RGB, from 0 to 255.

The colours come first because numpy mixes whole planes several times as fast as triples.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from pointrend_repro.data.generated.classes import RGB, Pattern
from pointrend_repro.data.generated.same_everywhere import angle

FloatImage = npt.NDArray[np.float32]

_TWO_SURFACES_SHARE = 0.6
_BACKGROUNDS: tuple[Pattern, ...] = ("mottled", "mottled", "stripes", "spots", "plain")


def object_texture(
    rng: np.random.Generator, *, height_px: int, width_px: int, color: RGB, pattern: Pattern
) -> FloatImage:
    """Return the surface of an object: one pattern in two shades close to `color`."""
    base = _clip(np.asarray(color) + rng.normal(0, 16, 3))
    other = _clip(base * rng.uniform(0.55, 0.8) + rng.normal(0, 12, 3))
    return _pattern_image(
        rng, height_px=height_px, width_px=width_px, colors=(base, other), pattern=pattern
    )


def background_texture(rng: np.random.Generator, *, height_px: int, width_px: int) -> FloatImage:
    """Return a background of one or two surfaces with a bent edge, in light and shade."""
    image = _surface(rng, height_px, width_px)
    if rng.random() < _TWO_SURFACES_SHARE:
        slope, offset = rng.uniform(-0.5, 0.5), rng.uniform(-0.3, 0.3)
        x, y = _grid(height_px, width_px)
        bend = 0.2 * smooth_noise(rng, height_px, width_px, cells=3)
        side = _step(y + np.float32(slope) * x + bend - np.float32(offset), 1 / height_px)
        image += side * (_surface(rng, height_px, width_px) - image)
    clouds = smooth_noise(rng, height_px, width_px, cells=4) - 0.5
    image += 45 * clouds
    return image


def _surface(rng: np.random.Generator, height_px: int, width_px: int) -> FloatImage:
    base = rng.uniform(45, 215) + rng.normal(0, 24, 3)
    other = base * rng.uniform(0.72, 1.28) + rng.normal(0, 16, 3)
    image = _pattern_image(
        rng,
        height_px=height_px,
        width_px=width_px,
        colors=(_clip(base), _clip(other)),
        pattern=_BACKGROUNDS[rng.integers(len(_BACKGROUNDS))],
    )
    detail = smooth_noise(rng, height_px, width_px, cells=int(rng.integers(30, 90))) - 0.5
    image += rng.uniform(5, 40) * detail
    return image


def smooth_noise(
    rng: np.random.Generator, height_px: int, width_px: int, *, cells: int
) -> npt.NDArray[np.float32]:
    """Return smooth noise (H, W) from 0 to 1 with about `cells` bumps along the longer side."""
    cell_px = max(height_px, width_px) / cells
    grid = (int(height_px / cell_px) + 2, int(width_px / cell_px) + 2)
    values = Image.fromarray(rng.integers(0, 256, grid, dtype=np.uint8))
    smooth = values.resize((width_px, height_px), Image.Resampling.BICUBIC)
    unit: npt.NDArray[np.float32] = np.asarray(smooth, dtype=np.float32) / np.float32(255)
    return unit


def grain(rng: np.random.Generator, height_px: int, width_px: int) -> npt.NDArray[np.float32]:
    """Return fine noise (H, W) around 0: a small tile, repeated, because drawing is slow."""
    tile = rng.normal(0, 1, (97, 89)).astype(np.float32)
    repeats = (height_px // tile.shape[0] + 1, width_px // tile.shape[1] + 1)
    return np.tile(tile, repeats)[:height_px, :width_px]


def _pattern_image(
    rng: np.random.Generator,
    *,
    height_px: int,
    width_px: int,
    colors: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    pattern: Pattern,
) -> FloatImage:
    """Return the first colour, mixed with the second one by the pattern, and grain."""
    weight = _pattern_weight(rng, height_px, width_px, pattern)
    first, second = (color[:, None, None] for color in colors)
    image: FloatImage = first + (second - first) * weight
    image += rng.uniform(1, 5) * grain(rng, height_px, width_px)
    return image


def _pattern_weight(
    rng: np.random.Generator, height_px: int, width_px: int, pattern: Pattern
) -> npt.NDArray[np.float32]:
    """Return the weight (H, W) of the second colour, from 0 to 1."""
    size = (height_px, width_px)
    if pattern == "plain":
        return np.float32(0.3) * smooth_noise(rng, *size, cells=2)
    if pattern == "mottled":
        return smooth_noise(rng, *size, cells=int(rng.integers(5, 14)))
    if pattern == "spots":
        return _step(smooth_noise(rng, *size, cells=int(rng.integers(7, 16))) - 0.62, 0.05)
    x, y = _grid(height_px, width_px)
    if pattern == "sectors":
        panels = 2 * rng.integers(1, 4)
        return _step(np.sin(panels * angle(y, x) + np.float32(rng.uniform(0, 6))), 0.1)
    if pattern == "windows":
        columns, rows = rng.uniform(6, 13, 2) * (width_px, height_px) / max(size)
        in_column = _step(np.sin(np.float32(2 * np.pi * columns) * x) - 0.2, 0.1)
        return in_column * _step(np.sin(np.float32(2 * np.pi * rows) * y) - 0.2, 0.1)
    direction, waves = rng.uniform(0, np.pi), rng.uniform(3, 10)
    phase = x * np.float32(np.cos(direction)) + y * np.float32(np.sin(direction))
    bend = 0.15 * smooth_noise(rng, *size, cells=3)
    return _step(np.sin(np.float32(2 * np.pi * waves) * (phase + bend)), 0.3)


def _grid(height_px: int, width_px: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return x (1, W) and y (H, 1), each from -0.5 to 0.5."""
    x = np.linspace(-0.5, 0.5, width_px, dtype=np.float32)[None, :]
    y = np.linspace(-0.5, 0.5, height_px, dtype=np.float32)[:, None]
    return x, y


def _step(values: npt.NDArray[np.float32], softness: float) -> npt.NDArray[np.float32]:
    """Return 0 below zero and 1 above, with a ramp of half width `softness` between."""
    ramp: npt.NDArray[np.float32] = np.clip(values / np.float32(2 * softness) + 0.5, 0, 1)
    return ramp


def _clip(color: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.clip(color, 15, 240).astype(np.float32)
