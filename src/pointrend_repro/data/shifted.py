"""Whether masks lie beside their objects: a whole data set shifted against its images.

Outlines follow edges of their images. So the mean edge strength along all outlines is largest where
they belong; if it is larger some pixels away, in most of the images, they have been shifted.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pycocotools.mask as mask_utils
from numpy.typing import NDArray
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.drawn import draw
from pointrend_repro.data.images import open_rgb

_Map = NDArray[np.float64]
_T = TypeVar("_T")

_LOOKED_AT = 40  # images
_FEWEST = 5
_OBJECTS = 50  # of an image
_LONGEST_PX = 640  # to which images are made smaller first
_FARTHEST_PX = 16  # of the smaller images
_NEAR_PX = 3  # annotators are not more exact than this
_STRONG_EDGE = 0.95  # quantile: stronger ones count alike
_IN_MOST = 0.75
_CLEARLY = 1.0  # standard deviations over all shifts


class Shift(NamedTuple):
    """How far masks lie beside their objects, in pixels to the right and down, in how many images.

    Attributes:
        images: in which it is seen.
        looked_at: of how many.
    """

    right_px: float
    down_px: float
    images: int
    looked_at: int

    def __str__(self) -> str:
        sides = [
            f"{abs(by):.0f} px {to if by > 0 else fro}"
            for by, to, fro in (
                (self.right_px, "to the right", "to the left"),
                (self.down_px, "down", "up"),
            )
            if abs(by) >= 0.5
        ]
        return (
            f"masks seem to be shifted against their images, {' and '.join(sides)}: in "
            f"{self.images} of {self.looked_at} images they fit better without that"
        )


def shift_of_masks(dataset: CocoDataset) -> Shift | None:
    """Return by how much the masks of a data set are shifted against its images; None: not seen.

    Some images are opened, always the same ones; those that cannot be read are left out.
    """
    looked_at = [(fits, scale) for fits, scale in _fits(_spread(dataset.images))]
    if len(looked_at) < _FEWEST:
        return None
    maps = np.stack([fits for fits, _ in looked_at])
    best = np.unravel_index(maps.mean(axis=0).argmax(), maps.shape[1:])
    down, right = (int(place) - _FARTHEST_PX for place in best)
    here, there = maps[:, _FARTHEST_PX, _FARTHEST_PX], maps[:, best[0], best[1]]
    seen = int((there > here).sum())
    if max(abs(down), abs(right)) < _NEAR_PX or seen < _IN_MOST * len(maps):
        return None
    if (there - here).mean() < _CLEARLY:
        return None
    # Masks that fit better further up lie too far down.
    scale = float(np.mean([scale for _, scale in looked_at]))
    return Shift(-right / scale, -down / scale, seen, len(maps))


def _spread(images: Sequence[ImageRecord]) -> list[ImageRecord]:
    with_objects = [i for i in images if any(not a.is_crowd for a in i.annotations)]
    return _few(with_objects, _LOOKED_AT)


def _few(all_of_them: list[_T], most: int) -> list[_T]:
    """Return at most so many of a list, from all of its parts."""
    places = np.linspace(0, len(all_of_them) - 1, min(most, len(all_of_them)))
    return [all_of_them[k] for k in places.round().astype(int).tolist()]


def _fits(images: Sequence[ImageRecord]) -> Iterator[tuple[_Map, float]]:
    """Yield how well the outlines of each image fit at each shift, and its scale."""
    for record in images:
        scale = min(1.0, _LONGEST_PX / max(record.width, record.height))
        size = max(round(record.width * scale), 1), max(round(record.height * scale), 1)
        try:
            grey = np.array(open_rgb(record.path).convert("L").resize(size), dtype=float)
        except UserError:
            continue
        outlines = _outlines(record, size)
        if not outlines.any():
            continue
        fits = _correlated(_edges(grey), outlines)
        spread = fits.std()
        if spread > 0:
            yield (fits - fits.mean()) / spread, scale


def _edges(grey: _Map) -> _Map:
    strength = np.hypot(*np.gradient(grey))
    strongest = max(float(np.quantile(strength, _STRONG_EDGE)), 1e-9)
    edges: _Map = np.minimum(strength / strongest, 1)
    return edges - edges.mean()


def _outlines(record: ImageRecord, size: tuple[int, int]) -> _Map:
    """Return where the outlines of some objects are, 1 in an image of `size` (W, H), else 0."""
    found = np.zeros((size[1], size[0]))
    for annotation in _few([a for a in record.annotations if not a.is_crowd], _OBJECTS):
        drawn = draw(annotation.segmentation, _hw(record))
        if drawn is not None and drawn.area:
            mask = Image.fromarray(255 * mask_utils.decode(drawn.rle)).resize(size)
            inside = np.array(mask) > 127
            found += _border(inside)
    return np.minimum(found, 1)


def _hw(record: ImageRecord) -> tuple[int, int]:
    return record.height, record.width


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask with a neighbour outside it, but none at the image's border."""
    around = np.pad(mask, 1, mode="edge")
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    border: NDArray[np.bool_] = mask & ~inner
    return border


def _correlated(edges: _Map, outlines: _Map) -> _Map:
    """Mean edge strength along the outlines at each shift up to the farthest, (2F + 1, 2F + 1)."""
    far = _FARTHEST_PX
    padded = [np.pad(each, ((0, far), (0, far))) for each in (edges, outlines)]
    product = np.fft.rfft2(padded[0]) * np.conj(np.fft.rfft2(padded[1]))
    everywhere = np.fft.irfft2(product, s=padded[0].shape)
    shifts = np.arange(-far, far + 1)
    near: _Map = everywhere[np.ix_(shifts, shifts)]
    return near / outlines.sum()
