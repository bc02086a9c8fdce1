"""Mean IoU in trimaps, the bands along the borders of classes (supplement, section 3).

A pixel is in the trimap of half-width r if it has an evaluated class and the centre of some pixel
of another evaluated class is at most r away from its own centre, both in the ground truth. Pixels
without an evaluated class neither form a trimap nor count. docs/trimap.md gives the reasons.

In other words: the disc of radius r around the pixel contains two classes, so the largest and the
smallest id in the disc differ. No distance is ever computed, and nothing is rounded.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointrend_repro.data.label_images import (
    CLASS_NAMES,
    ID_COUNT,
    LabelIds,
    LabelPair,
    find_pairs,
    read_pair,
)
from pointrend_repro.evaluation.mean_iou import mean_iou
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

# The supplement's widths are 8 and 20: on each side of the border, or in total.
HALF_WIDTHS_PX = (4, 8, 10, 20)

_IS_EVALUATED = np.isin(np.arange(ID_COUNT), list(CLASS_NAMES))  # by label id


def trimap_miou(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score label images by their mean IoU in trimaps of several widths, and over all pixels.

    Args:
        ground_truth: folder that holds gtFine/; the val split is scored.
        predictions: folder of label images, as for `cityscapes_miou`.

    Returns:
        `mIoU@r=<r>` for each half-width r in pixels, and `mIoU`, the same as `cityscapes_miou`
        gives, in percent; None where no pixel counts. Each is the mean of one confusion matrix
        over all images, averaged as the official tool averages.

    Raises:
        UserError: an image is missing or faulty.
    """
    return score_trimap_miou(ground_truth, predictions, ReadOnce()).values


def score_trimap_miou(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `trimap_miou` does, and also return the confusion matrices of each image."""
    confusions = once(_read_confusions, ground_truth, predictions, HALF_WIDTHS_PX)
    sums = confusions.by_image.sum(axis=0)
    values = {key: mean_iou(m) for key, m in zip(confusions.keys, sums, strict=True)}
    return Scored(values, confusions)


@dataclass(frozen=True)
class Confusions:
    """Pixel counts of each image.

    Attributes:
        pairs: files of the N images.
        keys: what each matrix measures; the last is `mIoU`, over all pixels.
        by_image: (N, keys, 34, 34), by label id: [ground truth, prediction].
    """

    pairs: tuple[LabelPair, ...]
    keys: tuple[str, ...]
    by_image: npt.NDArray[np.int64]

    def of_all_pixels(self) -> "Confusions":
        """Return only the matrices of all pixels."""
        return Confusions(self.pairs, self.keys[-1:], self.by_image[:, -1:])


def confusions_of_images(ground_truth: Path, predictions: Path, once: ReadOnce) -> Confusions:
    """Read and count each image, including its trimaps if they will be scored.

    Raises:
        UserError: an image is missing or faulty.
    """
    half_widths_px = HALF_WIDTHS_PX if "trimap_miou" in once.metrics else ()
    return once(_read_confusions, ground_truth, predictions, half_widths_px)


def _read_confusions(
    ground_truth: Path, predictions: Path, half_widths_px: tuple[int, ...]
) -> Confusions:
    pairs = find_pairs(ground_truth, predictions)
    by_image = [trimap_confusion(*read_pair(pair), half_widths_px) for pair in pairs]
    keys = (*(f"mIoU@r={half_width}" for half_width in half_widths_px), "mIoU")
    return Confusions(tuple(pairs), keys, np.stack(by_image))


def trimap_confusion(
    truth: LabelIds, predicted: LabelIds, half_widths_px: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Count the pixels of one image in each trimap.

    Args:
        truth: label ids, (H, W).
        predicted: label ids, (H, W).
        half_widths_px: K half-widths in pixels, ascending.

    Returns:
        Numbers of pixels (K + 1, 34, 34): [trimap, ground truth, prediction]; the last matrix is
        that of all pixels.
    """
    trimaps = trimap_count(truth, half_widths_px)
    cell = (trimaps * np.uint32(ID_COUNT) + truth) * np.uint32(ID_COUNT) + predicted
    shape = (len(half_widths_px) + 1, ID_COUNT, ID_COUNT)
    by_count = np.bincount(cell.ravel(), minlength=math.prod(shape)).reshape(shape)
    # Each trimap contains the narrower ones: the narrowest has the pixels that are in all K, the
    # next those in at least K - 1, and all pixels are in at least none.
    return by_count[::-1].cumsum(axis=0)


def trimap_count(truth: LabelIds, half_widths_px: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return the number of trimaps that contain each pixel.

    Args:
        truth: label ids, (H, W).
        half_widths_px: half-widths in pixels.

    Returns:
        Counts (H, W); 0 wherever the ground truth has no evaluated class.
    """
    if not half_widths_px:
        return np.zeros(truth.shape, dtype=np.uint8)
    is_evaluated = _IS_EVALUATED[truth]
    # Other pixels get the value that never wins.
    largest = _disc_filter(np.maximum, np.where(is_evaluated, truth, 0), half_widths_px, outside=0)
    smallest = _disc_filter(
        np.minimum, np.where(is_evaluated, truth, 255), half_widths_px, outside=255
    )
    count = np.zeros(truth.shape, dtype=np.uint8)
    for high, low in zip(largest, smallest, strict=True):
        count += high != low
    return count * is_evaluated


def _disc_filter(
    extreme: np.ufunc, image: LabelIds, radii_px: tuple[int, ...], *, outside: int
) -> list[LabelIds]:
    """Return, for each radius, the extreme value of `image` in the disc around each pixel.

    A disc is a stack of rows: the one at distance dy from its centre reaches isqrt(r² - dy²) pixels
    to either side. So the rows' extremes are widened pixel by pixel, once for all discs, and each
    disc uses its rows when they have the right width.
    """
    height, width = image.shape
    margin = max(radii_px)
    padded = np.pad(image, margin, constant_values=outside)
    rows = padded[:, margin : margin + width].copy()
    discs = [image.copy() for _ in radii_px]
    for reach in range(margin + 1):
        if reach:
            extreme(rows, padded[:, margin - reach :][:, :width], out=rows)
            extreme(rows, padded[:, margin + reach :][:, :width], out=rows)
        for disc, radius in zip(discs, radii_px, strict=True):
            for dy in range(-radius, radius + 1):
                if math.isqrt(radius**2 - dy**2) == reach:
                    extreme(disc, rows[margin + dy :][:height], out=disc)
    return discs
