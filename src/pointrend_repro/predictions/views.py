"""What a detector finds in an image that it sees several times, as an inference setting asks."""

import numpy as np
import torch
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.examples import inference_image, move_boxes
from pointrend_repro.data.structures import Detections
from pointrend_repro.modeling.boxes import is_nonempty
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.modeling.proposal_model import ProposalModel
from pointrend_repro.modeling.views import View, detect_in_views
from pointrend_repro.predictions.proposals import Boxes
from pointrend_repro.settings.at_test import views_at_test
from pointrend_repro.settings.instances import InferenceSettings


def find_in_views(
    saved: SavedModel,
    image: NDArray[np.uint8],
    settings: InferenceSettings,
    proposals: Boxes | None = None,
) -> Detections:
    """Detect in all views of an RGB image (H, W, 3) that `settings.test` asks for.

    Args:
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
    size = (image.shape[0], image.shape[1])
    device = saved.model.backbone.pixel_mean.device
    views = []
    for seen_at, flip in views_at_test(saved.input, settings.test):
        seen = inference_image(image, seen_at).to(device)
        views.append(View(seen.flip(2) if flip else seen, flip, size))
    given = None
    if proposals is not None:
        given = torch.from_numpy(move_boxes(proposals, size, size)).to(device)
    mirrored = () if saved.keypoints is None else saved.keypoints.mirrored
    with computing_in(settings.test.precision, device):
        found = detect_in_views(saved.model, views, settings, given, mirrored)
    return found.select(is_nonempty(found.boxes))
