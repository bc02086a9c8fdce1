"""The keypoint branch of Mask R-CNN (1703.06870, section 5): a heat map over each box and keypoint.

What the paper leaves open is detectron2's (commit 02b5c4e2, modeling/roi_heads/keypoint_head.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.heat_maps import keypoints_of_maps
from pointrend_repro.modeling.init import init_msra
from pointrend_repro.modeling.keypoint_targets import (
    annotated_keypoints,
    keypoint_cells,
    with_keypoint_inside,
)
from pointrend_repro.modeling.pooling import RoiLayer
from pointrend_repro.settings.heads import KeypointHeadSettings


class KeypointHead(nn.Module):
    """3x3 convolutions on RoI features, a 4x4 deconvolution, and a bilinear doubling.

    A map has four times as many cells along an edge as the RoI: 56x56 by default.
    """

    def __init__(
        self, in_channels: int, settings: KeypointHeadSettings, roi_layer: RoiLayer
    ) -> None:
        super().__init__()
        self.roi_layer = roi_layer
        self.roi_resolution = settings.roi_resolution
        self.num_keypoints = settings.num_keypoints
        width = settings.channels
        self.convs = nn.ModuleList(
            nn.Conv2d(width if i else in_channels, width, 3, padding=1)
            for i in range(settings.convs)
        )
        self.deconv = nn.ConvTranspose2d(
            width, settings.num_keypoints, kernel_size=4, stride=2, padding=1
        )
        init_msra(*self.convs, self.deconv)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return logits (R, K, 4 S, 4 S) over boxes, for S the RoI resolution.

        Args:
            features: maps of a batch by name, each (N, C, H, W).
            boxes: N tensors (R_n, 4), xyxy in image pixels.
        """
        return _doubled(self._half_size_logits(features, boxes))

    def losses(
        self, features: dict[str, Tensor], proposals: list[Proposals], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return `loss_keypoint`: softmax cross-entropy over a map, averaged over keypoints.

        Boxes without a labelled keypoint inside are left out. If none has one, the loss is zero
        and every parameter still gets a gradient.

        Args:
            features: maps of a batch by name, each (N, C, H, W).
            proposals: N images' foreground boxes, R in all, xyxy in image pixels. Logits are
                (R, K, 4 S, 4 S), as of `forward`.
            targets: N images' objects, with keypoints (G, K, 3) in image pixels.

        Raises:
            UserError: the targets have no keypoints, or another number of them than the head.
        """
        keypoints = annotated_keypoints(proposals, targets, self.num_keypoints)
        inside = [with_keypoint_inside(*each) for each in zip(proposals, keypoints, strict=True)]
        boxes = [p.boxes[keep] for p, keep in zip(proposals, inside, strict=True)]
        points = torch.cat([k[keep] for k, keep in zip(keypoints, inside, strict=True)])
        logits = self._half_size_logits(features, boxes)
        if len(points) == 0:
            return {"loss_keypoint": logits.sum()}
        cells = keypoint_cells(torch.cat(boxes), points, 2 * logits.shape[-1])
        labelled = cells >= 0
        # Only maps with a target are doubled.
        maps = _doubled(logits[labelled].unsqueeze(1)).flatten(1)
        return {"loss_keypoint": F.cross_entropy(maps, cells[labelled])}

    def predict(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return keypoints (R, K, 3): x and y in image pixels and a score, for all images' boxes.

        Arguments as for `forward`.
        """
        return keypoints_of_maps(self(features, boxes), torch.cat(boxes))

    def _half_size_logits(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        x = self.roi_layer(features, boxes, self.roi_resolution)
        for conv in self.convs:
            x = F.relu(conv(x))
        logits: Tensor = self.deconv(x).float()
        return logits


def _doubled(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
