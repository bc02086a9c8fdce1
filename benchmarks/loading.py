"""Files that the loader benchmarks read: photographs' stand-ins with objects, made from a seed.

What matters to a decoder is how much detail a picture has: the noise is such that a JPEG or PNG is
of the size that COCO's and Cityscapes' files have on average.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

COCO_NOISE, CITYSCAPES_NOISE = 14.0, 1.3


_folders: list[tempfile.TemporaryDirectory[str]] = []


def folder_until_exit() -> Path:
    """Make an empty folder that is removed when the process ends."""
    _folders.append(tempfile.TemporaryDirectory())
    return Path(_folders[-1].name)


def photograph(height: int, width: int, noise: float, rng: np.random.Generator) -> Pixels:
    """Make smooth colours with noise, RGB (H, W, 3)."""
    rough = rng.integers(0, 256, (height // 32 + 1, width // 32 + 1, 3), dtype=np.uint8)
    smooth = Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(smooth) + rng.normal(0, noise, (height, width, 3)).astype(np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def polygon(
    height: int, width: int, rng: np.random.Generator, *, vertices: int = 25
) -> list[float]:
    """Make a star-shaped outline inside an image, [x, y, x, y, ...] in pixels."""
    radius = min(height, width) * 0.5 * 16 ** -rng.random()
    angles = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    radii = radius * rng.uniform(0.6, 1.0, vertices)
    x = rng.uniform(radius, width - radius) + radii * np.cos(angles)
    y = rng.uniform(radius, height - radius) + radii * np.sin(angles)
    return [float(v) for v in np.stack([x, y], axis=1).ravel()]
