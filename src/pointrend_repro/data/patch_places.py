"""Where patches lie in an image: around objects, and away from them (DeepMask, 1506.06204, 3.3).

A canonical positive has an object in its middle, whose longer side is 128 pixels of a patch of 224.
In a patch of 160 that is 92, rounded up as in the authors' code (facebookresearch/deepmask at
commit 280a716b, DataSampler.lua), and 64 in one of 112.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]

# Code: scales of negatives, for patches of 160 pixels, as octaves of the image's enlargement.
_OCTAVES = np.arange(-3, 2.25, 0.25)
_OCTAVES_OF_PX = 160
_NEGATIVE_TRIES = 100  # code


@dataclass(frozen=True)
class Place:
    """Where a patch lies.

    Attributes:
        x: of its middle, in pixels of the image.
        y: the same.
        scale: pixels of the image per pixel of the patch.
    """

    x: float
    y: float
    scale: float


def object_px(patch_px: int) -> int:
    """Return how long the longer side of an object is in its canonical patch, in its pixels."""
    return math.ceil(patch_px * 128 / 224)


def canonical_place(box: Box, patch_px: int) -> Place:
    """Return the place of the canonical positive of an object.

    Args:
        box: of the object, xyxy in pixels of the image.
    """
    x0, y0, x1, y1 = box
    scale = max(x1 - x0, y1 - y0) / object_px(patch_px)
    return Place((x0 + x1) / 2, (y0 + y1) / 2, scale)


def jittered(place: Place, px: float, octaves: float, rng: np.random.Generator) -> Place:
    """Move a place by up to `px` pixels of the patch along each axis, and its scale by octaves."""
    scale = place.scale * 2 ** rng.uniform(-octaves, octaves)
    dx, dy = rng.uniform(-px, px, size=2) * scale
    return Place(place.x + dx, place.y + dy, scale)


def draw_negative(
    objects: Sequence[Place],
    size: tuple[int, int],
    *,
    patch_px: int,
    min_px: float,
    min_octaves: float,
    rng: np.random.Generator,
) -> tuple[Place, bool]:
    """Draw a place whose middle lies anywhere in the image, at any of the code's scales.

    It is far enough from an object's canonical place if it is at least `min_px` pixels of the patch
    away or at least `min_octaves` larger or smaller.

    Args:
        objects: canonical places of all objects of the image.
        size: (height, width) of the image.

    Returns:
        The first of a hundred draws that is far enough from all objects, or else the last draw; and
        whether it is far enough.
    """
    height, width = size
    octaves = rng.choice(_OCTAVES, size=_NEGATIVE_TRIES)
    scales = 2.0**-octaves * (_OCTAVES_OF_PX / patch_px)
    xs, ys = rng.uniform([[0], [0]], [[width], [height]], size=(2, _NEGATIVE_TRIES))
    drawn = np.stack([xs, ys, scales], axis=1)
    far = are_negative(drawn, objects, min_px=min_px, min_octaves=min_octaves)
    index = int(np.argmax(far)) if far.any() else _NEGATIVE_TRIES - 1
    return Place(*drawn[index].tolist()), bool(far[index])


def are_negative(
    places: NDArray[np.float64], objects: Sequence[Place], *, min_px: float, min_octaves: float
) -> NDArray[np.bool_]:
    """Return for places (N, 3), as (x, y, scale), whether they are far enough from all objects."""
    if not objects:
        return np.ones(len(places), dtype=bool)
    own = np.array([(place.x, place.y, place.scale) for place in objects])
    dx, dy = (places[:, None, axis] - own[None, :, axis] for axis in (0, 1))
    apart = np.hypot(dx, dy) / places[:, 2:] >= min_px
    apart |= np.abs(np.log2(places[:, 2:] / own[:, 2])) >= min_octaves
    return np.asarray(apart.all(axis=1))
