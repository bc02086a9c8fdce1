"""A detector as one function of one image, for any image size and any number of objects."""

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.backbone import STRIDES, FPNBackbone
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.instances import InferenceSettings

SIZE_DIVISOR = STRIDES["p5"]
# torch.export treats a map of one cell as a special case; p6 has 64 pixels per cell.
MIN_SIDE_PX = 3 * SIZE_DIVISOR
# Smaller sides are padded further than a model pads them. Only the image is zero there: the shifts
# of normalisation layers fill the maps, while beyond its own padding a model has zeros in each map.
EXACT_FROM_PX = MIN_SIDE_PX - SIZE_DIVISOR + 1
INPUTS = ["image", "size"]


class DetectorGraph(nn.Module):
    """`MaskRCNN.detect` for one image, without what a graph cannot express.

    The caller pads: a graph's image has sides that are multiples of all strides.

    Attributes:
        outputs: names of what `forward` returns.
        what: the model in words, for messages.

    Raises:
        UserError: the detector has no feature pyramid. Such detectors see images that are not
            padded, which would need other graphs. Or the settings ask for soft-NMS or several
            views, which a graph does not have, its mask head scores its masks, or its boxes are
            given by another model.
    """

    def __init__(self, model: MaskRCNN, settings: InferenceSettings) -> None:
        super().__init__()
        if not isinstance(model.backbone, FPNBackbone):
            raise UserError(
                f"model.features {model.settings.features}: only detectors on a feature pyramid "
                "(fpn) can be exported"
            )
        if settings.test.nms == "soft_linear" or settings.test.has_views:
            raise UserError(
                "test: nms soft_linear, flip and more_short_edges_px cannot be exported: a graph "
                "sees an image once, and its NMS is hard"
            )
        if getattr(model.mask_head, "iou_head", None) is not None:
            raise UserError(
                "model.mask_head.mask_scoring cannot be exported: a graph's objects are in the "
                "order of their boxes' scores"
            )
        model.own_proposals()
        self.model = model
        self.settings = settings
        parts = model.settings
        self.what = (
            f"a model with mask head {parts.mask_head.kind!r} and RoI layer "
            f"{parts.detector.roi_layer.kind!r}"
        )
        self.outputs = ["boxes", "scores", "labels"]
        if model.mask_head is not None:
            self.outputs.append("mask_logits")
        if model.keypoint_head is not None:
            self.outputs.append("keypoint_logits")

    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        """Find the objects of one image.

        Args:
            image: (3, H, W) float32, RGB in 0 to 255, at the network's input size; H and W are
                multiples of 32 and at least 96. Pixels beyond `size` do not matter.
            size: (2,) int64, height and width of the image before it was padded.

        Returns:
            `boxes` (R, 4), xyxy in pixels of `image`, `scores` (R,), `labels` (R,) int64 and, with
            a mask head, `mask_logits` (R, M, M) over each box, with a keypoint head,
            `keypoint_logits` (R, K, S, S) over each box; highest-scoring first.
        """
        model, test = self.model, self.settings.test
        limits = (size[0], size[1])
        assert isinstance(model.backbone, FPNBackbone)
        features = pyramid_of(model.backbone, image, size)
        rpn = model.own_proposals()
        anchors = rpn.anchors(features)
        rpn_logits, rpn_deltas = rpn(features)
        proposals = rpn.propose(anchors, rpn_logits, rpn_deltas, [limits], test)
        logits, deltas = model.box_head(features, proposals)
        found = model.box_head.detect(logits, deltas, proposals, [limits], test)
        ((boxes, scores, labels),) = found
        outputs: tuple[Tensor, ...] = (boxes, scores, labels)
        if model.mask_head is not None:
            outputs += (model.mask_head.predict(features, [boxes], [labels], self.settings),)
        if model.keypoint_head is not None:
            # How many places of a map can be its maximum is not known to a graph.
            outputs += (model.keypoint_head(features, [boxes]),)
        return outputs


def pyramid_of(backbone: FPNBackbone, image: Tensor, size: Tensor) -> dict[str, Tensor]:
    """Return the maps of one padded image, as `FPNBackbone` computes them of a batch.

    Args:
        image: as for `DetectorGraph.forward`, like `size`.
    """
    if backbone.flip_channels:
        image = image.flip(0)
    rows = torch.arange(image.shape[1], device=image.device) < size[0]
    columns = torch.arange(image.shape[2], device=image.device) < size[1]
    # Zero is the mean colour, as in the backbone's padding.
    normal = (image - backbone.pixel_mean) / backbone.pixel_std * (rows[:, None] & columns)
    return backbone.with_pyramid(backbone.bottom_up(normal.unsqueeze(0)))


def padded_image(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return a graph's two inputs for an image (3, H, W) at the network's input size."""
    height, width = image.shape[1:]
    below, right = _padding(height), _padding(width)
    padded = nn.functional.pad(image.float(), (0, right, 0, below))
    return padded, torch.tensor([height, width])


def _padding(side: int) -> int:
    return max(side + -side % SIZE_DIVISOR, MIN_SIDE_PX) - side
