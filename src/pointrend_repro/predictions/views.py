"""What a detector finds in an image that it sees several times, as an inference setting asks."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.examples import inference_image, move_boxes
from pointrend_repro.data.structures import Detections
from pointrend_repro.modeling.boxes import is_nonempty
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.modeling.proposal_model import ProposalModel
from pointrend_repro.modeling.views import View, detect_in_views
from pointrend_repro.predictions.proposals import Boxes
from pointrend_repro.settings.at_test import DetectionAtTest, views_at_test
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.schedule import InputSettings


def see(image: NDArray[np.uint8], settings: InputSettings, test: DetectionAtTest) -> list[Tensor]:
    """Resize an RGB image (H, W, 3) for each view of a test, (3, H', W') uint8; none is mirrored.

    Args:
        settings: the model's, unless `test` asks for other sizes.
    """
    return [inference_image(image, size) for size, _ in views_at_test(settings, test)]


def find_in_views(
    saved: SavedModel,
    seen: list[Tensor],
    size: tuple[int, int],
    settings: InferenceSettings,
    proposals: Boxes | None = None,
) -> Detections:
    """Detect in all views of an image that `settings.test` asks for.

    Args:
        seen: what `see` returns of it.
        size: of the image, (H, W).
        proposals: (P, 4), xyxy in pixels of the image; none: the model's own.

    Returns:
        Detections in pixels of the image.

    Raises:
        UserError: the model, of a family from outside this package, has no such steps.
    """
    if not isinstance(saved.model, ProposalModel) and not hasattr(saved.model, "look_inside"):
        raise UserError(
            f"test: models of family {saved.model.settings.family} see an image once: leave out "
            "flip and more_short_edges_px"
        )
    device = saved.model.backbone.pixel_mean.device
    views = []
    for tensor, (_, flip) in zip(seen, views_at_test(saved.input, settings.test), strict=True):
        pixels = tensor.to(device)
        views.append(View(pixels.flip(2) if flip else pixels, flip, size))
    given = None
    if proposals is not None:
        given = torch.from_numpy(move_boxes(proposals, size, size)).to(device)
    mirrored = () if saved.keypoints is None else saved.keypoints.mirrored
    with computing_in(settings.test.precision, device):
        found = detect_in_views(saved.model, views, settings, given, mirrored)
    return found.select(is_nonempty(found.boxes))
