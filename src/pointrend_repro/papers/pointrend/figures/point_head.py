"""PointRend's two predictions for an annotated object: the coarse mask, and points."""

from collections.abc import Callable

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.figures.objects import ShownObject
from pointrend_repro.figures.regions import network_input
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead


@torch.no_grad()
def coarse_and_points(
    saved: SavedModel, shown: ShownObject
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the coarse logits (M0, M0) of an object, and PointRend's point head for its box.

    The function maps points (P, 2), box-normalised, to logits (P,).

    Raises:
        UserError: the model's mask head is not PointRend.
    """
    head = saved.model.mask_head
    if not isinstance(head, PointRendHead):
        kind = saved.model.settings.mask_head.kind
        raise UserError(f"the model's mask head is {kind}; this figure needs one of pointrend")
    image, boxes, labels = network_input(saved, shown)
    coarse, predict = head.prepare(saved.model.backbone([image]), [boxes], [labels])

    @torch.no_grad()
    def predict_points(points: Tensor) -> Tensor:
        return predict(points[None])[0]

    return coarse[0], predict_points
