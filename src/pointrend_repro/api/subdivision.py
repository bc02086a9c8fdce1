"""How PointRend draws one mask: every subdivision step on a picture of the user's own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointrend_repro.api.loading import Model, as_rgb
from pointrend_repro.base.errors import UserError
from pointrend_repro.data.examples import inference_image
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.modeling.paste import paste_mask
from pointrend_repro.modeling.subdivision import Step, subdivide
from pointrend_repro.settings.at_test import input_at_test, on_top
from pointrend_repro.settings.instances import InferenceSettings


@dataclass(frozen=True)
class SubdivisionStep:
    """One step of PointRend on one object. Grids of S x S cells cover the object's box.

    Attributes:
        side: S.
        before: (S, S) float32, probabilities of foreground, interpolated from the step before; in
            the first step, predicted by the coarse head.
        points: (P, 2) float32, (x, y) in pixels of the image: the centres of the cells that are
            least certain, which the point head predicts anew; none in the first step.
        after: (S, S) float32, `before` with the new predictions in these cells.
        mask: (H, W) bool, `after` pasted into the image.
    """

    side: int
    before: NDArray[np.float32]
    points: NDArray[np.float32]
    after: NDArray[np.float32]
    mask: NDArray[np.bool_]


@torch.no_grad()
def subdivision(
    model: Model, image: NDArray[np.uint8], box: Sequence[float], label: int
) -> list[SubdivisionStep]:
    """Show how PointRend makes a mask: each grid, and the points that are predicted on it.

    The last step's mask is that of `Model.predict` for the same box and class, unless the model is
    tested in several views of an image, of which this is the first, or in bf16, which this is not.

    Args:
        model: a detector whose mask head is PointRend.
        image: uint8 RGB (H, W, 3), or grey (H, W).
        box: xyxy in pixels of the image, such as one of `boxes` of what `predict` found.
        label: 0-based class, such as that object's `labels`.

    Returns:
        The coarse prediction, then one step per doubling of the grid: 7, 14, 28, ..., 224 cells a
        side, with at most 28 x 28 points, in the paper's settings.

    Raises:
        UserError: the model has another mask head, `image` is no such array, or there is no such
            box or class.
    """
    head = getattr(model.saved.model, "mask_head", None)
    if not isinstance(head, PointRendHead):
        raise UserError(f"{model.name}: has no PointRend mask head; only that one subdivides")
    pixels = as_rgb(image)
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = (float(edge) for edge in box)
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise UserError(f"box {tuple(box)}: must be xyxy inside the image of {width}x{height} px")
    if not isinstance(label, (int, np.integer)) or not 0 <= label < len(model.categories):
        raise UserError(
            f"label {label}: the model has the classes 0 to {len(model.categories) - 1}"
        )
    in_image = torch.tensor([x0, y0, x1, y1])
    steps = _steps(model, head, pixels, in_image, label)
    return [_on_image(step, in_image, height, width) for step in steps]


def _steps(
    model: Model, head: PointRendHead, pixels: NDArray[np.uint8], box: Tensor, label: int
) -> list[Step]:
    """Return the steps for a box (4,), xyxy in pixels of the image (H, W, 3)."""
    saved, settings = model.saved, model.inference
    assert isinstance(settings, InferenceSettings)  # of every model with this mask head
    test = settings.test if saved.test is None else on_top(saved.test, settings.test)
    device = saved.model.backbone.pixel_mean.device
    tensor = inference_image(pixels, input_at_test(saved.input, test)).to(device)
    scale = torch.tensor(
        [tensor.shape[2] / pixels.shape[1], tensor.shape[1] / pixels.shape[0]], device=device
    )
    coarse, predict = head.prepare(
        saved.model.backbone([tensor]),
        [(box.to(device) * scale.repeat(2))[None]],
        [torch.tensor([label], device=device)],
    )
    return subdivide(coarse[0], lambda points: predict(points[None])[0], settings)


def _on_image(step: Step, box: Tensor, height: int, width: int) -> SubdivisionStep:
    points = box[:2] + step.points.cpu() * (box[2:] - box[:2])
    return SubdivisionStep(
        side=len(step.after),
        before=step.before.sigmoid().cpu().numpy(),
        points=points.numpy(),
        after=step.after.sigmoid().cpu().numpy(),
        mask=paste_mask(step.after.cpu(), box, height, width),
    )
