"""Random colour changes of images, as in SSD's training (1512.02325; its released code).

The numbers are those of detectron2 (commit 02b5c4e2, projects/PointRend/point_rend/
color_augmentation.py).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_BRIGHTNESS = 32.0  # the most that is added, in 0 to 255
_CONTRAST = (0.5, 1.5)  # factors for pixels
_SATURATION = (0.5, 1.5)
_HUE = 18  # of OpenCV's 180 steps
_HUE_STEPS = 180

Pixels = NDArray[np.uint8]

_VALUES: Pixels = np.arange(256, dtype=np.uint8)


def jitter_colors(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Change brightness, contrast, saturation and hue, each with probability one half.

    Contrast comes second or last, at random.

    Args:
        image: RGB (H, W, 3) uint8.
        rng: decides what changes, and by how much.
    """
    image = _brightness(image, rng)
    if rng.random() < 0.5:
        return _hue(_saturation(_contrast(image, rng), rng), rng)
    return _contrast(_hue(_saturation(image, rng), rng), rng)


def _brightness(image: Pixels, rng: np.random.Generator) -> Pixels:
    if rng.random() < 0.5:
        return image
    return _look_up(image, _clipped(_VALUES + np.float32(rng.uniform(-_BRIGHTNESS, _BRIGHTNESS))))


def _contrast(image: Pixels, rng: np.random.Generator) -> Pixels:
    if rng.random() < 0.5:
        return image
    return _look_up(image, _clipped(_VALUES * np.float32(rng.uniform(*_CONTRAST))))


def _saturation(image: Pixels, rng: np.random.Generator) -> Pixels:
    if rng.random() < 0.5:
        return image
    saturation = _clipped(_VALUES * np.float32(rng.uniform(*_SATURATION)))
    return _change_hsv(image, np.stack([_VALUES, saturation, _VALUES], axis=1))


def _hue(image: Pixels, rng: np.random.Generator) -> Pixels:
    if rng.random() < 0.5:
        return image
    hue = (_VALUES.astype(int) + rng.integers(-_HUE, _HUE + 1)) % _HUE_STEPS
    return _change_hsv(image, np.stack([hue.astype(np.uint8), _VALUES, _VALUES], axis=1))


def _change_hsv(image: Pixels, tables: Pixels) -> Pixels:
    """Look up hue, saturation and value, each in its column of tables (256, 3)."""
    hsv = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(_look_up(hsv, tables), cv2.COLOR_HSV2RGB), dtype=np.uint8)


def _look_up(image: Pixels, table: Pixels) -> Pixels:
    """Replace each value by that of a table (256,), or (256, 3) with a column for each channel.

    Functions of a single value are computed for the 256 values, not for each pixel.
    """
    return np.asarray(cv2.LUT(image, table.reshape(1, 256, -1)), dtype=np.uint8)


def _clipped(values: NDArray[np.float32]) -> Pixels:
    return np.clip(values, 0, 255).astype(np.uint8)
