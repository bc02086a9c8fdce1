"""SOLOv2: a pyramid, and a head that predicts masks of the whole image at once."""

import torch
from torch import Tensor, nn

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.backbone import FPNBackbone
from pointrend_repro.modeling.precision import float32_inside
from pointrend_repro.modeling.solov2.choosing import (
    LEAST_CELLS,
    Cells,
    FoundMasks,
    choose_objects,
    highest_around,
    mask_logits,
)
from pointrend_repro.modeling.solov2.head import CellOutputs, SoloHead
from pointrend_repro.modeling.solov2.losses import class_loss, dice_loss, no_loss
from pointrend_repro.modeling.solov2.targets import (
    LevelTargets,
    image_targets,
    small_masks,
)
from pointrend_repro.settings.solov2 import SoloInferenceSettings, SoloModelSettings


class SOLOv2(nn.Module):
    """Finds objects by the cells that hold their centres, without boxes (2003.10152).

    Images are (3, H, W) RGB tensors of 0 to 255, of any sizes. A batch is padded to multiples of 32
    pixels, and the grids of cells cover the padded batch, as in mmdetection.

    Raises:
        UserError: the trunk is dilated.
    """

    def __init__(self, settings: SoloModelSettings, num_classes: int) -> None:
        """Make a model with random weights."""
        super().__init__()
        self.settings = settings
        self.num_classes = num_classes
        self.backbone = FPNBackbone(settings.backbone)
        self.head = SoloHead(settings.backbone.fpn_channels, num_classes, settings.head)

    def forward(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """Return the losses of one training step, to be summed without weights."""
        padded = self.backbone.padded_size(images)
        learned = [
            image_targets(target, padded, self.num_classes, self.settings.head)
            for target in targets
        ]
        outputs = self._outputs(self.backbone(images))
        positive = sum(
            int((level.labels < self.num_classes).sum()) for each in learned for level in each
        )
        masks = [small_masks(target.masks, padded) for target in targets]
        return self._losses(outputs, learned, masks, positive)

    @torch.no_grad()
    def detect(self, images: list[Tensor], settings: SoloInferenceSettings) -> list[FoundMasks]:
        """Return what is found in each image, over the padded batch."""
        of_images = self.cells(self.backbone(images))
        return [choose_objects(cells, mask_map, settings) for cells, mask_map in of_images]

    def cells(self, features: dict[str, Tensor]) -> list[tuple[Cells, Tensor]]:
        """Return each image's cells, and the map (D, H / 4, W / 4) for their kernels.

        Args:
            features: maps p2 to p6 of a batch.
        """
        outputs = self._outputs(features)
        scores = [_rows(highest_around(level.sigmoid())) for level in outputs.logits]
        kernels = [_rows(level) for level in outputs.kernels]
        least = torch.cat(
            [
                level.new_full((level.shape[1],), fewest)
                for level, fewest in zip(scores, LEAST_CELLS, strict=True)
            ]
        )
        parts = torch.cat(scores, dim=1), torch.cat(kernels, dim=1), outputs.mask_map
        return [(Cells(s, k, least), mask_map) for s, k, mask_map in zip(*parts, strict=True)]

    def _outputs(self, features: dict[str, Tensor]) -> CellOutputs:
        found: CellOutputs = self.head(features)
        logits, kernels = ([level.float() for level in part] for part in found[:2])
        return CellOutputs(logits, kernels, found.mask_map.float())

    @float32_inside
    def _losses(
        self,
        outputs: CellOutputs,
        learned: list[list[LevelTargets]],
        masks: list[Tensor],
        positive: int,
    ) -> dict[str, Tensor]:
        of_masks = []
        for image, (levels, small) in enumerate(zip(learned, masks, strict=True)):
            kernels = torch.cat(
                [
                    maps[image].flatten(1)[:, level.cells].T
                    for maps, level in zip(outputs.kernels, levels, strict=True)
                ]
            )
            objects = torch.cat([level.objects for level in levels])
            if len(objects):
                logits = mask_logits(kernels, outputs.mask_map[image])
                of_masks.append(dice_loss(logits, small[objects]).sum())
        labels = torch.cat(
            [level.labels for levels in zip(*learned, strict=True) for level in levels]
        )
        logits = torch.cat([_rows(level).flatten(0, 1) for level in outputs.logits])
        loss = no_loss(outputs.mask_map, *outputs.kernels)
        if of_masks:
            loss = loss + self.settings.head.mask_loss_weight * sum(of_masks) / positive
        return {"loss_mask": loss, "loss_class": class_loss(logits, labels, positive)}


def _rows(maps: Tensor) -> Tensor:
    """Return maps (N, C, S, S) as cells (N, S * S, C)."""
    return maps.flatten(2).transpose(1, 2)
