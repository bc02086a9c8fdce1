"""What a trained model says about an annotated object: masks inside its true box, of its class."""

from collections.abc import Callable

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.examples import inference_image, read_record
from pointrend_repro.figures.objects import ShownObject
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.settings.instances import InferenceSettings


def mask_logits(saved: SavedModel, shown: ShownObject, resolutions: list[int]) -> list[Tensor]:
    """Render an object's mask at several resolutions M, with the paper's 28^2 points a step.

    Returns:
        Logits (M, M) over the object's box, for each resolution.
    """
    image, boxes, labels = _network_input(saved, shown)
    rendered: list[Tensor] = []
    for resolution in resolutions:
        settings = InferenceSettings(output_resolution=resolution)
        rendered += saved.model.masks_in_boxes([image], [boxes], [labels], settings)
    return rendered


@torch.no_grad()
def coarse_and_points(
    saved: SavedModel, shown: ShownObject
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the coarse logits (M0, M0) of an object, and PointRend's point head on its box.

    The function maps points (P, 2), box-normalised, to logits (P,).

    Raises:
        UserError: the model's mask head is not PointRend.
    """
    head = saved.model.mask_head
    if not isinstance(head, PointRendHead):
        kind = saved.model.settings.mask_head.kind
        raise UserError(f"the model's mask head is {kind}; this figure needs one of pointrend")
    image, boxes, labels = _network_input(saved, shown)
    coarse, predict = head.prepare(saved.model.backbone([image]), [boxes], [labels])

    @torch.no_grad()
    def predict_points(points: Tensor) -> Tensor:
        return predict(points[None])[0]

    return coarse[0], predict_points


def _network_input(saved: SavedModel, shown: ShownObject) -> tuple[Tensor, Tensor, Tensor]:
    """Return the resized image (3, H', W'), the box (1, 4) in its pixels, and the class (1,)."""
    image = inference_image(read_record(shown.record), saved.input)
    height, width = image.shape[1:]
    scale = torch.tensor([width / shown.record.width, height / shown.record.height]).repeat(2)
    boxes = (torch.tensor(shown.box) * scale)[None]
    return image, boxes, torch.tensor([shown.annotation.label])
