"""Mask heads: one file each, behind one small interface.

To add a head of your own, see docs/your_head.md: nothing in this package changes. A head that is to
be part of the package gets a module here, a settings class with its own `kind` in
`settings/heads.py`, and a line in `build_mask_head`.
"""

from typing import Protocol, cast

from torch import Tensor

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.box_head import BoxHead, Res5BoxHead
from pointrend_repro.modeling.mask_heads.conv4 import Conv4Head
from pointrend_repro.modeling.mask_heads.mlp import MlpMaskHead
from pointrend_repro.modeling.mask_heads.plugin import build_plugin_head
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.modeling.mask_heads.res5 import Res5MaskHead
from pointrend_repro.modeling.mask_heads.sharpmask import SharpMaskHead
from pointrend_repro.modeling.pooling import RoiLayer, pool_rois
from pointrend_repro.settings.heads import (
    Conv4HeadSettings,
    MaskHeadSettings,
    MlpMaskSettings,
    NoMaskSettings,
    PluginHeadSettings,
    PointRendHeadSettings,
    Res5MaskSettings,
    SharpMaskHeadSettings,
)
from pointrend_repro.settings.instances import InferenceSettings


class MaskHead(Protocol):
    """The interface of a mask head. Every head is also a `torch.nn.Module`."""

    train_on_refined_boxes: bool
    """Whether training crops the boxes refined by the box head instead of the proposals."""

    def losses(
        self, features: dict[str, Tensor], proposals: list[Proposals], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return named losses over foreground proposals; if there are none, zero with a graph."""
        ...

    def predict(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: InferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, M, M) of each box's class, over the boxes of all images."""
        ...


def build_mask_head(
    settings: MaskHeadSettings,
    *,
    in_channels: int,
    trunk_channels: tuple[int, ...],
    num_classes: int,
    roi_layer: RoiLayer = pool_rois,
    box_head: BoxHead | None = None,
) -> MaskHead | None:
    """Make the mask head that `settings.kind` names; None if that is `none`.

    Args:
        in_channels: of the maps from which boxes are cropped, such as p2 to p5.
        trunk_channels: of res2 to res5.
        roi_layer: crops the features of boxes, for heads that see nothing else of the pyramid.
        box_head: the detector's, for heads that share what it computes of a box.
    """
    match settings:
        case Conv4HeadSettings():
            return Conv4Head(in_channels, num_classes, settings, roi_layer)
        case MlpMaskSettings():
            return MlpMaskHead(in_channels, num_classes, settings, roi_layer)
        case NoMaskSettings():
            return None
        case PointRendHeadSettings():
            return PointRendHead(in_channels, num_classes, settings)
        case Res5MaskSettings():
            assert isinstance(box_head, Res5BoxHead)  # ModelSettings sees to it
            return Res5MaskHead(num_classes, settings, box_head)
        case SharpMaskHeadSettings():
            return SharpMaskHead(in_channels, trunk_channels, settings, roi_layer)
        case PluginHeadSettings():
            head = build_plugin_head(
                settings,
                in_channels=in_channels,
                trunk_channels=trunk_channels,
                num_classes=num_classes,
                roi_layer=roi_layer,
            )
            return cast(MaskHead, head)


def masks_and_quality(
    head: MaskHead,
    features: dict[str, Tensor],
    boxes: list[Tensor],
    labels: list[Tensor],
    settings: InferenceSettings,
) -> tuple[Tensor, Tensor | None]:
    """Return float32 logits as `MaskHead.predict` does, and by what (R,) scores are multiplied.

    None without mask scoring.
    """
    if isinstance(head, Conv4Head) and head.iou_head is not None:
        logits, quality = head.scored(features, boxes, labels)
        return logits.float(), quality
    return head.predict(features, boxes, labels, settings).float(), None
