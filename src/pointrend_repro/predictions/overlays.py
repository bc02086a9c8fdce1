"""An image with what a model finds drawn over it: masks, names, skeletons, or labels."""

import colorsys
import contextlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.keypoints import Pair
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.predictions.label_maps import LabelMap
from pointrend_repro.predictions.mask_proposals import MaskProposals
from pointrend_repro.predictions.skeletons import joints, limbs

_TINT = 0.45  # opacity of a mask's colour
_LABEL_BACKGROUND = (20, 20, 20)
# Hues a golden angle apart, so that neighbours in the list have clearly different colours.
_HUE_STEP = 0.618034
_LETTERS = "fonts/ttf/DejaVuSans.ttf"
# Hundreds of proposals overlap.
PROPOSALS_SHOWN = 10


def draw_found(
    image: NDArray[np.uint8],
    found: Instances | LabelMap | MaskProposals,
    saved: SavedModel,
    *,
    score_threshold: float,
) -> NDArray[np.uint8]:
    """Draw what a model found over an RGB image (H, W, 3): objects, labels, or the best proposals.

    Objects below `score_threshold` are left out.
    """
    if isinstance(found, LabelMap):
        return draw_labels(image, found.labels)
    if isinstance(found, MaskProposals):
        best = best_proposals(found)
        return draw_instances(image, best, ["proposal"], score_threshold=score_threshold)
    return draw_instances(
        image,
        found,
        [name for _, name in saved.categories],
        score_threshold=score_threshold,
        skeleton=() if saved.keypoints is None else saved.keypoints.skeleton,
    )


def draw_instances(
    image: NDArray[np.uint8],
    instances: Instances,
    class_names: list[str],
    *,
    score_threshold: float,
    skeleton: Sequence[Pair] = (),
) -> NDArray[np.uint8]:
    """Draw objects over an RGB image (H, W, 3), the highest-scoring on top.

    Each has a tinted mask, a thin outline in its full colour, its keypoints with the lines of the
    `skeleton` between them, and its class and score if there is room. The image itself stays
    visible: boxes are drawn, untinted, only where there are no masks.
    """
    drawn = image.astype(np.float32)
    shown = np.flatnonzero(instances.scores >= score_threshold)
    for k in shown[::-1]:
        whole, colour = _region(instances, k, image), np.array(_colour(int(k)), dtype=np.float32)
        box = _box(whole)
        mask, part = whole[box], drawn[box]
        if instances.masks is not None:
            part[mask] = (1 - _TINT) * part[mask] + _TINT * colour
        part[_outline(mask, _line_width(image))] = colour
    picture = Image.fromarray(drawn.round().astype(np.uint8))
    if instances.keypoints is not None:
        for k in shown[::-1]:
            points, width = instances.keypoints[k], _line_width(image)
            _skeleton(picture, points, skeleton, _colour(int(k)), width)
    for k in shown[::-1]:
        text = f"{class_names[instances.labels[k]]} {instances.scores[k]:.0%}"
        _label(picture, _region(instances, k, image), text, _colour(int(k)))
    return np.array(picture)


def best_proposals(found: MaskProposals) -> Instances:
    """Return the ten best of them, which are drawn, as objects of one class."""
    best = found.best(PROPOSALS_SHOWN)
    labels = np.zeros(len(best.scores), dtype=np.int64)
    return Instances(best.boxes, best.scores, labels, best.masks)


def draw_labels(image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tint every pixel of an RGB image (H, W, 3) in the colour of its class (H, W)."""
    colours = np.array([_colour(label) for label in range(256)], dtype=np.float32)
    drawn = (1 - _TINT) * image + _TINT * colours[labels]
    return drawn.round().astype(np.uint8)


def _region(instances: Instances, k: int, image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the mask (H, W) of an object, or of its box."""
    if instances.masks is not None:
        return instances.masks[k]
    region = np.zeros(image.shape[:2], dtype=bool)
    x0, y0, x1, y1 = instances.boxes[k].round().astype(int)
    region[y0:y1, x0:x1] = True
    return region


def _colour(number: int) -> tuple[int, int, int]:
    rgb = colorsys.hsv_to_rgb(number * _HUE_STEP % 1.0, 0.75, 1.0)
    return round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)


def _line_width(image: NDArray[np.uint8]) -> int:
    return max(1, round(min(image.shape[:2]) / 400))


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that hold all of a mask: most are far smaller than a picture."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _outline(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the mask's own pixels that are at most `width` from its outside.

    What lies around the array (H, W) is outside.
    """
    if not mask.size:  # OpenCV takes no empty images
        return mask
    square = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask & (inner == 0)


def _skeleton(
    picture: Image.Image,
    keypoints: NDArray[np.float32],
    skeleton: Sequence[Pair],
    colour: tuple[int, int, int],
    width: int,
) -> None:
    """Draw the keypoints (K, 3) of an object, and lines between them, rimmed in white."""
    draw = ImageDraw.Draw(picture)
    lines, dots = limbs(keypoints, skeleton), joints(keypoints)
    for fill, rim in (((255, 255, 255), width), (colour, 0)):
        for (x0, y0), (x1, y1) in lines.tolist():
            draw.line([x0, y0, x1, y1], fill=fill, width=2 * width + 2 * rim)
        for x, y in dots.tolist():
            r = 2 * width + rim
            draw.ellipse([x - r, y - r, x + r, y + r], fill=fill)


def _font(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, which knows ASCII alone, or else matplotlib's: é, я, λ, not 車."""
    found = None if text.isascii() else find_spec("matplotlib")  # imports nothing
    if found is not None and found.origin is not None:
        with contextlib.suppress(OSError):  # some distributions take its fonts away
            return ImageFont.truetype(Path(found.origin).with_name("mpl-data") / _LETTERS, size)
    return ImageFont.load_default(size)


def _label(
    picture: Image.Image, mask: NDArray[np.bool_], text: str, colour: tuple[int, int, int]
) -> None:
    """Write beside the mask's topmost pixel, inside the image; nothing if there is no room."""
    if not mask.any():
        return
    size = max(10, round(min(picture.size) / 40))
    font = _font(text, size)
    draw = ImageDraw.Draw(picture, "RGBA")
    _, _, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right + 6, bottom + 4
    if width > picture.width or height > picture.height:
        return
    row = int(np.argmax(mask.any(axis=1)))
    column = int(np.argmax(mask[row]))
    x = min(column, picture.width - width)
    y = min(max(row - height, 0), picture.height - height)
    draw.rounded_rectangle([x, y, x + width, y + height], 3, fill=(*_LABEL_BACKGROUND, 190))
    light = tuple((c + 255) // 2 for c in colour)  # readable on dark, whatever the hue
    draw.text((x + 3, y + 1), text, fill=light, font=font)
