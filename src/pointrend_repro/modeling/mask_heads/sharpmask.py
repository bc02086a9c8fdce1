"""A SharpMask-style mask head for Mask R-CNN (Pinheiro et al., 1603.08695).

This is not the model of that paper, which segments image patches and knows no boxes and no classes:
that one is the family `deepmask` (`modeling/deepmask/`). The refinement module is shared.

"Section" and "Figure" are SharpMask's. A coarse mask encoding M^1 of 7x7 comes from a low-rank
fully connected bottleneck; four refinement modules each double its resolution and halve its
channels, each adding skip features from the trunk's stage of its own resolution: res5 at 7x7, res4
at 14x14, res3 at 28x28, res2 at 56x56. A last convolution makes the mask at 112x112.

SharpMask segments image patches of one size. What it leaves open for boxes is decided as follows:

- **The bottleneck's input:** the box's 7x7 RoI features from the FPN, as for the box head; then, as
  in section 5.1, a 1x1 convolution to 128 channels, and 512 numbers without a ReLU (DeepMask.lua).
- **Skip features** S^i come from two 3x3 convolutions with ReLUs over the whole image (first to 64
  channels everywhere, section 5.2), so boxes share them, and are cropped by RoIAlign at module i's
  resolution, always from its own stage: at 224 pixels a box's bins are that stage's cells.
- **Figure 7 and the crop:** conv(concat(M, S)) is conv_M(M) + conv_S(S) only on one grid, which for
  boxes of any size is the grid of their bins. So conv_S comes after the crop, and the two forms are
  equal for every box. The two convolutions that make S, nearly all of the work, stay shared; conv_S
  costs 0.2 M multiply-adds per box and module.
- **One mask for all classes**, as in SharpMask. Mask R-CNN calls that "nearly as effective": 29.7
  AP against 30.3 with a mask for each class (section 4.2 of 1703.06870).
- **Zero padding**, as in the rest of Mask R-CNN. SharpMask pads by reflection because it trains on
  patches and predicts on whole images (section 5); RoI features are the same in both.
- **Weights start uniform** (section 3.3), with variance one over the fan-in: the sum of two
  convolutions, halved by the ReLU, then keeps the scale from module to module.
- **Boxes are the proposals**, not the refined ones, as for the 4x conv head.

The released Lua code (facebookresearch/deepmask, commit 445aad3b, SharpMask.lua) differs from the
paper, which is followed here: it upsamples by nearest neighbour and not bilinearly, has one more
3x3 convolution with a ReLU on M in each module, takes the last module's skip features through 32
channels, and pads by repeating the border.

**Training** is joint by default. With `coarse_stage_share` it has the two stages of section 3.3:
first a linear layer on the 512 numbers predicts a coarse mask of 28x28 (DeepMask's has 56x56), and
everything except the refinement is trained; then only the refinement is trained, with the layer
that makes M^1. Both stages share one learning-rate schedule.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.backbone import TRUNK_STRIDES
from pointrend_repro.modeling.init import init_xavier
from pointrend_repro.modeling.mask_heads.grid import GridMaskHead
from pointrend_repro.modeling.mask_heads.targets import grid_loss
from pointrend_repro.modeling.pooling import RoiLayer, pool_rois, with_batch_index
from pointrend_repro.modeling.refinement import RefinementModule, SkipEncoder
from pointrend_repro.settings.heads import SharpMaskHeadSettings

Stage = Literal["joint", "coarse", "refine"]

ENCODING_RESOLUTION = 7
_COARSE_RESOLUTION = 28


class Bottleneck(nn.Module):
    """The feedforward path: a low-rank vector for each box (section 4.2, head C)."""

    def __init__(self, in_channels: int, settings: SharpMaskHeadSettings) -> None:
        super().__init__()
        width = settings.reduced_channels
        self.reduce = nn.Conv2d(in_channels, width, 1)
        self.fc = nn.Linear(width * ENCODING_RESOLUTION**2, settings.bottleneck_channels)
        init_xavier(self.reduce, self.fc)

    def forward(self, roi_features: Tensor) -> Tensor:
        """Map RoI features (R, C, 7, 7) to vectors (R, D)."""
        vectors: Tensor = self.fc(F.relu(self.reduce(roi_features)).flatten(1))
        return vectors


class Refinement(nn.Module):
    """The top-down path, from the bottleneck's vector and the trunk's stages to a mask."""

    def __init__(self, trunk_channels: tuple[int, ...], settings: SharpMaskHeadSettings) -> None:
        super().__init__()
        k = settings.encoding_channels
        # From coarse to fine; schedule (b) of section 5.2 halves the channels.
        self.stages = tuple(reversed(TRUNK_STRIDES))
        self.widths = widths = [k // 2**i for i in range(len(self.stages))]
        self.encoding = nn.Linear(settings.bottleneck_channels, k * ENCODING_RESOLUTION**2)
        self.skips = nn.ModuleList(
            _with_xavier(SkipEncoder(channels, settings.skip_channels, width))
            for channels, width in zip(reversed(trunk_channels), widths, strict=True)
        )
        self.refine = nn.ModuleList(
            _with_xavier(RefinementModule(width, width, width // 2)) for width in widths
        )
        self.predictor = nn.Conv2d(widths[-1] // 2, 1, 3, padding=1)
        init_xavier(self.encoding, self.predictor)

    def crop_skips(self, features: dict[str, Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Return each module's S^i in the boxes: (R, 32, 7, 7), (R, 16, 14, 14) and so on."""
        rois = with_batch_index(boxes)
        return [
            roi_align(
                skip(features[stage]),
                rois,
                ENCODING_RESOLUTION * 2**i,
                1 / TRUNK_STRIDES[stage],
                sampling_ratio=0,
                aligned=True,
            )
            for i, (stage, skip) in enumerate(zip(self.stages, self.skips, strict=True))
        ]

    def forward(self, vectors: Tensor, skips: list[Tensor]) -> Tensor:
        """Map vectors (R, D) and `crop_skips` to logits (R, 1, 112, 112)."""
        side = ENCODING_RESOLUTION
        mask = self.encoding(vectors).unflatten(1, (-1, side, side))
        for refine, skip in zip(self.refine, skips, strict=True):
            mask = refine(mask, skip)
        logits: Tensor = self.predictor(mask)
        return logits


class SharpMaskHead(GridMaskHead):
    """A coarse encoding of the mask, refined top-down; class-agnostic, 112x112."""

    def __init__(
        self,
        in_channels: int,
        trunk_channels: tuple[int, ...],
        settings: SharpMaskHeadSettings,
        roi_layer: RoiLayer = pool_rois,
    ) -> None:
        super().__init__()
        self.roi_layer = roi_layer
        self.coarse_stage_share = settings.coarse_stage_share
        self.stage: Stage = "joint"
        self.bottleneck = Bottleneck(in_channels, settings)
        self.refinement = Refinement(trunk_channels, settings)
        if self.coarse_stage_share is not None:
            self.coarse_mask = nn.Linear(settings.bottleneck_channels, _COARSE_RESOLUTION**2)
            init_xavier(self.coarse_mask)

    def start_stage(self, progress: float) -> Stage:
        """Set, and return, what is trained at this share (0 to 1) of the iterations.

        `coarse` trains all but `refinement`, `refine` only `refinement`, `joint` everything.
        """
        if self.coarse_stage_share is not None:
            self.stage = "coarse" if progress < self.coarse_stage_share else "refine"
        return self.stage

    def start_iteration(self, progress: float, trainable: list[nn.Parameter]) -> None:
        """Set which of the model's trainable parameters this iteration trains.

        Args:
            progress: the share (0 to 1) of the iterations that are done.
            trainable: all parameters of the whole model that training may change.
        """
        stage = self.start_stage(progress)
        if stage == "joint":
            return
        for parameter in trainable:
            parameter.requires_grad_(stage == "coarse")
        self.refinement.requires_grad_(stage == "refine")

    def losses(
        self, features: dict[str, Tensor], proposals: list[Proposals], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return `loss_mask` at 112x112, or `loss_mask_coarse` at 28x28 in the coarse stage."""
        if self.stage != "coarse":
            return super().losses(features, proposals, targets)
        vectors = self._vectors(features, [p.boxes for p in proposals])
        side = _COARSE_RESOLUTION
        logits = self.coarse_mask(vectors).unflatten(1, (1, side, side))
        labels = torch.cat([p.labels for p in proposals])
        return {"loss_mask_coarse": grid_loss(logits, labels, proposals, targets)}

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return mask logits (R, 1, 112, 112), the same for every class."""
        vectors = self._vectors(features, boxes)
        logits: Tensor = self.refinement(vectors, self.refinement.crop_skips(features, boxes))
        return logits

    def _vectors(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        vectors: Tensor = self.bottleneck(self.roi_layer(features, boxes, ENCODING_RESOLUTION))
        return vectors


def _with_xavier(module: nn.Module) -> nn.Module:
    init_xavier(*(layer for layer in module.modules() if isinstance(layer, nn.Conv2d)))
    return module
