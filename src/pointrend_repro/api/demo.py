"""One image with what a model finds drawn over it, as a file and in words."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from pointrend_repro.api.loading import Model
from pointrend_repro.api.longest_sides import too_long
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path
from pointrend_repro.data.images import read_picture
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.predictions.label_maps import LabelMap
from pointrend_repro.predictions.mask_proposals import MaskProposals
from pointrend_repro.predictions.overlays import PROPOSALS_SHOWN, draw_found

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
        UserError: the image is faulty, or too long for the overlay's format.
    """
    pixels = read_picture(image)
    kind = Image.registered_extensions()[output.suffix.lower()]
    _require_fits(image, pixels.shape[0], pixels.shape[1], output, kind)
    found = model.predict(pixels)
    overlay = draw_found(pixels, found, model.saved, score_threshold=score_threshold)
    with atomic_path(output) as part:
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
        best = min(len(found.scores), PROPOSALS_SHOWN)
        return f"Found: {len(found.scores)} proposals, of which the {best} best"
    labels = found.labels[found.scores >= score_threshold].tolist()
    names = Counter(model.class_names[label] for label in labels)
    told = ", ".join(f"{count} {name}" for name, count in names.most_common())
    if told:
        return f"Found: {told}"
    top = f", the best {found.scores.max():.2f}" if len(found.scores) else ""
    below = len(found.scores)
    return f"Found: nothing that scores {score_threshold:g} or more ({below} objects below{top})"


def require_format(output: Path) -> None:
    """Refuse the name of an overlay in a format that is not written, before anything is loaded.

    Raises:
        UserError: it is one.
    """
    if output.suffix.lower() not in _FORMATS:
        raise UserError(f"{output}: the name of the overlay must end in {', '.join(_FORMATS)}")


def _require_fits(image: Path, height: int, width: int, output: Path, kind: str) -> None:
    most = too_long(kind, height, width)
    if most is not None:
        raise UserError(
            f"{output}: {image} has {width}x{height} pixels, and {kind} at most {most} a side; "
            "name it .png"
        )
