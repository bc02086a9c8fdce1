"""Region proposal network, with detectron2's semantics (commit 02b5c4e2, proposal_generator/)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.anchors import cell_anchors, grid_anchors
from pointrend_repro.modeling.boxes import (
    ImageSize,
    box_loss,
    decode_boxes,
    encode_boxes,
    is_being_exported,
    match_boxes,
    sample_matches,
)
from pointrend_repro.modeling.choosing import choose_proposals
from pointrend_repro.modeling.init import init_normal
from pointrend_repro.modeling.sparse_conv import conv_at_cells
from pointrend_repro.settings.at_test import AS_TRAINED, DetectionAtTest, detector_at_test
from pointrend_repro.settings.instances import SMOOTH_L1_BETA_RPN, DetectorSettings

_BOX_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
_NEGATIVE_IOU, _POSITIVE_IOU = 0.3, 0.7
_POSITIVE_FRACTION = 0.5


class RegionProposalNetwork(nn.Module):
    """Proposes boxes on the maps of a backbone: one anchor size per map, or all of them on one."""

    def __init__(self, channels: int, strides: dict[str, int], settings: DetectorSettings) -> None:
        """Make the network with random weights.

        Args:
            channels: of each map.
            strides: image pixels per cell of each map, by its name.

        Raises:
            ValueError: the numbers of anchor sizes and of several maps differ.
        """
        super().__init__()
        cells = [cell_anchors(s, settings.anchor_ratios) for s in settings.anchor_sizes_px]
        if len(strides) == 1:
            cells = [torch.cat(cells)]
        if len(cells) != len(strides):
            raise ValueError(
                f"anchor_sizes_px needs one size for each of {list(strides)}, "
                f"got {settings.anchor_sizes_px}"
            )
        self.strides = strides
        self.settings = settings
        self.cells = cells
        num_anchors = len(cells[0])
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness_logits = nn.Conv2d(channels, num_anchors, 1)
        self.anchor_deltas = nn.Conv2d(channels, num_anchors * 4, 1)
        init_normal(self.conv, self.objectness_logits, self.anchor_deltas, std=0.01)

    def forward(self, features: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return logits (N, A_l) and deltas (N, A_l, 4) of the A_l anchors of each level."""
        logits, deltas = [], []
        for name in self.strides:
            hidden = F.relu_(self.conv(features[name]))
            logit = self.objectness_logits(hidden).float()
            logits.append(logit.permute(0, 2, 3, 1).flatten(1))
            delta = self.anchor_deltas(hidden).float().permute(0, 2, 3, 1)
            deltas.append(delta.reshape(delta.shape[0], -1, 4))
        return logits, deltas

    def anchors(self, features: dict[str, Tensor]) -> list[Tensor]:
        """Return the anchors (A_l, 4) of each level."""
        return [
            grid_anchors(cell, features[name], stride)
            for cell, (name, stride) in zip(self.cells, self.strides.items(), strict=True)
        ]

    @torch.no_grad()
    def propose(
        self,
        anchors: list[Tensor],
        logits: list[Tensor],
        deltas: list[Tensor],
        image_sizes: Sequence[ImageSize],
        test: DetectionAtTest = AS_TRAINED,
    ) -> list[Tensor]:
        """Return each image's proposals (R, 4), highest-scoring first."""
        scored = self.propose_scored(anchors, logits, deltas, image_sizes, test)
        return [boxes for boxes, _ in scored]

    @torch.no_grad()
    def propose_scored(
        self,
        anchors: list[Tensor],
        logits: list[Tensor],
        deltas: list[Tensor],
        image_sizes: Sequence[ImageSize],
        test: DetectionAtTest = AS_TRAINED,
    ) -> list[tuple[Tensor, Tensor]]:
        """Return each image's proposals (R, 4) and their logits (R,), highest-scoring first.

        The best of every level are taken before NMS, and NMS runs within a level. `test` says how
        many; where it is silent, the model's own settings do.
        """
        settings = detector_at_test(self.settings, test)
        pre_nms, post_nms = settings.rpn_pre_nms_test, settings.rpn_post_nms
        if self.training:
            pre_nms = settings.rpn_pre_nms_train
            post_nms = settings.rpn_post_nms_train or post_nms
        boxes, scores, levels = [], [], []
        for level, (anchor, logit, delta) in enumerate(zip(anchors, logits, deltas, strict=True)):
            if is_being_exported():
                logit, delta, anchor = _pad(logit, delta, anchor, pre_nms)
            score, index = logit.topk(min(pre_nms, logit.shape[1]), dim=1)
            chosen = delta.gather(1, index.unsqueeze(2).expand(-1, -1, 4))
            boxes.append(decode_boxes(chosen, anchor[index], _BOX_WEIGHTS))
            scores.append(score)
            levels.append(torch.full_like(index, level))
        of_all_levels = (torch.cat(part, 1) for part in (boxes, scores, levels))
        per_image = zip(*of_all_levels, image_sizes, strict=True)
        iou = settings.rpn_nms_iou
        return [choose_proposals(*each, iou=iou, most=post_nms) for each in per_image]

    def losses(
        self, anchors: list[Tensor], features: dict[str, Tensor], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return the objectness and box losses over a random sample of anchors.

        Only the sampled anchors, a few hundred of hundreds of thousands, are computed with a graph:
        the backward pass of the dense convolutions would be a sixth of a training step's work.

        Args:
            anchors: (A_l, 4) of each level, xyxy in pixels of the padded batch.
            features: maps by name, each (N, C, H, W), those of `self.strides` at least.
            targets: N images' objects.

        Returns:
            `loss_rpn_objectness` and `loss_rpn_box`: sums over an image's sampled anchors, divided
            by `rpn_batch_per_image`, averaged over images.
        """
        all_anchors = torch.cat(anchors)
        matches = [self._match(all_anchors, target) for target in targets]
        logits, deltas = self._at_anchors(features, [m.sampled for m in matches])
        objectness = logits.new_zeros(())
        box = logits.new_zeros(())
        sizes = [len(m.sampled) for m in matches]
        for logit, delta, match, target in zip(
            logits.split(sizes), deltas.split(sizes), matches, targets, strict=True
        ):
            count = match.num_positive
            target_logit = torch.zeros_like(logit)
            target_logit[:count] = 1
            objectness = objectness + F.binary_cross_entropy_with_logits(
                logit, target_logit, reduction="sum"
            )
            target_delta = encode_boxes(
                target.boxes[match.matched], all_anchors[match.sampled[:count]], _BOX_WEIGHTS
            )
            box = box + box_loss(delta[:count], target_delta, self.settings, SMOOTH_L1_BETA_RPN)
        scale = 1.0 / (self.settings.rpn_batch_per_image * len(targets))
        return {"loss_rpn_objectness": objectness * scale, "loss_rpn_box": box * scale}

    def _match(self, anchors: Tensor, target: Target) -> "_Matches":
        eligible = self._eligible(anchors, target)
        matched, state = match_boxes(
            anchors[eligible],
            target.boxes,
            negative_below=_NEGATIVE_IOU,
            positive_from=_POSITIVE_IOU,
            keep_best_of_each_gt=True,
        )
        positive, negative = sample_matches(
            state, self.settings.rpn_batch_per_image, _POSITIVE_FRACTION
        )
        sampled = eligible[torch.cat([positive, negative])]
        return _Matches(sampled, len(positive), matched[positive])

    def _eligible(self, anchors: Tensor, target: Target) -> Tensor:
        """Return the indices of the anchors to learn from: all, or those inside of the image."""
        if not self.settings.rpn_inside_anchors_only:
            return torch.arange(len(anchors), device=anchors.device)
        height, width = target.masks.shape[1:]
        x0, y0, x1, y1 = anchors.unbind(1)
        inside = (x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height)
        return torch.nonzero(inside).squeeze(1)

    def _at_anchors(
        self, features: dict[str, Tensor], sampled: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return logits (S,) and deltas (S, 4) of sampled anchors, image by image.

        They equal those of `forward`.

        Args:
            sampled: N tensors (S_n,), indices into the anchors of all levels.
        """
        index = torch.cat(sampled)
        image = torch.cat([torch.full_like(s, n) for n, s in enumerate(sampled)])
        num_kinds = self.objectness_logits.out_channels
        first, places, logits, deltas = 0, [], [], []
        for name in self.strides:
            cells = features[name].shape[2:].numel()
            end = first + cells * num_kinds
            here = torch.nonzero((index >= first) & (index < end)).squeeze(1)
            cell, kind = (index[here] - first) // num_kinds, (index[here] - first) % num_kinds
            hidden = F.relu(conv_at_cells(self.conv, features[name], image[here] * cells + cell))
            logit, delta = (
                F.linear(hidden, layer.weight.flatten(1), layer.bias).float()
                for layer in (self.objectness_logits, self.anchor_deltas)
            )
            rows = torch.arange(len(here), device=index.device)
            logits.append(logit[rows, kind])
            deltas.append(delta.unflatten(1, (num_kinds, 4))[rows, kind])
            places.append(here)
            first = end
        order = torch.cat(places).argsort()
        return torch.cat(logits)[order], torch.cat(deltas)[order]


class _Matches(NamedTuple):
    """The anchors of one image that are sampled for its losses.

    Attributes:
        sampled: (S,), indices of anchors, the positive ones first.
        num_positive: how many are positive.
        matched: (num_positive,), the index of the ground truth that each of these is matched to.
    """

    sampled: Tensor
    num_positive: int
    matched: Tensor


def _pad(logit: Tensor, delta: Tensor, anchor: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Add `count` anchors that are never proposed, so that a graph always takes the same number."""
    none = F.pad(logit, (0, count), value=-torch.inf)
    return none, F.pad(delta, (0, 0, 0, count)), F.pad(anchor, (0, 0, 0, count))
