"""An image with the objects that a model finds drawn over it: masks, names, and skeletons."""

import colorsys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pointrend_repro.api.loading import Model
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path
from pointrend_repro.data.images import read_image
from pointrend_repro.data.keypoints import Pair
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.predictions.label_maps import LabelMap
from pointrend_repro.predictions.mask_proposals import MaskProposals
from pointrend_repro.predictions.skeletons import joints, limbs

_TINT = 0.45  # opacity of a mask's colour
_LABEL_BACKGROUND = (20, 20, 20)
# Hues a golden angle apart, so that neighbours in the list have clearly different colours.
_HUE_STEP = 0.618034
# Hundreds of proposals overlap.
_PROPOSALS_SHOWN = 10
_FORMATS = (".png", ".jpg", ".jpeg", ".webp")


def write_overlay(
    image: Path, output: Path, model: Model, *, score_threshold: float
) -> Instances | LabelMap | MaskProposals:
    """Predict one image and write it with its objects drawn over it.

    Args:
        image: the image.
        output: the overlay.
        model: with its weights.
        score_threshold: objects below this score are left out; of proposals, only the ten best are
            drawn.

    Returns:
        What was found.

    Raises:
        UserError: the image is faulty.
    """
    pixels = read_image(image)
    found = model.predict(pixels)
    overlay = draw_found(pixels, found, model, score_threshold=score_threshold)
    with atomic_path(output) as part:
        kind = Image.registered_extensions()[output.suffix.lower()]
        Image.fromarray(overlay).save(part, format=kind, quality=95)
    return found


def in_words(
    found: Instances | LabelMap | MaskProposals, model: Model, *, score_threshold: float
) -> str:
    """Say what was found: objects by class, or classes by their share of the pixels."""
    if isinstance(found, LabelMap):
        counts = np.bincount(found.labels.ravel(), minlength=len(model.class_names))
        largest = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        parts = [f"{model.class_names[k]} {counts[k] / found.labels.size:.0%}" for k in largest]
        return f"Found: {', '.join(parts)}"
    if isinstance(found, MaskProposals):
        return f"Found: {len(found.scores)} proposals, of which the {len(_best(found).scores)} best"
    labels = found.labels[found.scores >= score_threshold].tolist()
    names = Counter(model.class_names[label] for label in labels)
    told = ", ".join(f"{count} {name}" for name, count in names.most_common())
    if told:
        return f"Found: {told}"
    best = f", the best {found.scores.max():.2f}" if len(found.scores) else ""
    below = len(found.scores)
    return f"Found: nothing that scores {score_threshold:g} or more ({below} objects below{best})"


def require_format(output: Path) -> None:
    """Refuse the name of an overlay in a format that is not written, before anything is loaded.

    Raises:
        UserError: it is one.
    """
    if output.suffix.lower() not in _FORMATS:
        raise UserError(f"{output}: the name of the overlay must end in {', '.join(_FORMATS)}")


def draw_found(
    image: NDArray[np.uint8],
    found: Instances | LabelMap | MaskProposals,
    model: Model,
    *,
    score_threshold: float,
) -> NDArray[np.uint8]:
    """Draw what a model found over an RGB image (H, W, 3): objects, labels, or the best proposals.

    Objects below `score_threshold` are left out.
    """
    if isinstance(found, LabelMap):
        return draw_labels(image, found.labels)
    if isinstance(found, MaskProposals):
        return draw_instances(image, _best(found), ["proposal"], score_threshold=score_threshold)
    return draw_instances(
        image,
        found,
        model.class_names,
        score_threshold=score_threshold,
        skeleton=model.skeleton,
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
        mask, colour = _region(instances, k, image), np.array(_colour(int(k)), dtype=np.float32)
        if instances.masks is not None:
            drawn[mask] = (1 - _TINT) * drawn[mask] + _TINT * colour
        drawn[_outline(mask, _line_width(image))] = colour
    picture = Image.fromarray(drawn.round().astype(np.uint8))
    if instances.keypoints is not None:
        for k in shown[::-1]:
            points, width = instances.keypoints[k], _line_width(image)
            _skeleton(picture, points, skeleton, _colour(int(k)), width)
    for k in shown[::-1]:
        text = f"{class_names[instances.labels[k]]} {instances.scores[k]:.0%}"
        _label(picture, _region(instances, k, image), text, _colour(int(k)))
    return np.array(picture)


def _best(found: MaskProposals) -> Instances:
    scores = found.scores[:_PROPOSALS_SHOWN]
    labels = np.zeros(len(scores), dtype=np.int64)
    return Instances(found.boxes[: len(scores)], scores, labels, found.masks[: len(scores)])


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


def _outline(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the mask's own pixels that are at most `width` from its outside."""
    padded = Image.fromarray(np.pad(mask, width).astype(np.uint8) * 255)
    inner = np.array(padded.filter(ImageFilter.MinFilter(2 * width + 1))) > 0
    return mask & ~inner[width:-width, width:-width]


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


def _label(
    picture: Image.Image, mask: NDArray[np.bool_], text: str, colour: tuple[int, int, int]
) -> None:
    """Write beside the mask's topmost pixel, inside the image; nothing if there is no room."""
    if not mask.any():
        return
    size = max(10, round(min(picture.size) / 40))
    font = ImageFont.load_default(size)
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
