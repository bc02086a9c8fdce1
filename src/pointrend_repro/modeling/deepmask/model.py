"""DeepMask (1506.06204) and SharpMask (1603.08695), assembled: a mask and a score for each window.

A window is a patch of `patch_px` pixels a side. In training, images are patches with some context
around them, whose cells are cropped from the trunk's maps; in whole images nothing is cropped.

Training has two stages (SharpMask, section 3.3): DeepMask learns masks and scores together; then
SharpMask starts from it, with everything frozen but the refinement, which takes the place of the
layer that predicted the mask. That layer is kept, so that one SharpMask model makes both kinds of
masks.
"""

import torch
from torch import Tensor, nn

from pointrend_repro.data.patches import PatchTarget
from pointrend_repro.modeling.deepmask.heads import Bottleneck, ScoreHead
from pointrend_repro.modeling.deepmask.losses import mask_loss, score_loss
from pointrend_repro.modeling.deepmask.refinement import Refinement
from pointrend_repro.modeling.deepmask.trunks import build_trunk
from pointrend_repro.settings.deepmask import DeepMaskModelSettings, PatchTrunkSettings


class PatchBackbone(nn.Module):
    """Normalises pixels and computes the trunk's maps."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, settings: PatchTrunkSettings) -> None:
        super().__init__()
        self.flip_channels = settings.channel_order == "BGR"
        self.bottom_up = build_trunk(settings)
        for name in ("pixel_mean", "pixel_std"):
            values = torch.tensor(getattr(settings, name)).view(3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images (N, 3, H, W), RGB, 0 to 255, to the trunk's maps, from coarse to fine."""
        images = images.to(self.pixel_mean.dtype)
        if self.flip_channels:
            images = images.flip(1)
        images = (images - self.pixel_mean) / self.pixel_std
        if images.device.type == "cpu":
            images = images.contiguous(memory_format=torch.channels_last)
        return self.bottom_up.maps(images)


class DeepMask(nn.Module):
    """Segments and scores the object in the middle of each window, whatever its class.

    Attributes:
        stride: image pixels between windows.
        window: cells along a window's side in the trunk's last map.
        bottleneck: maps the trunk's coarsest map (N, C, h, w) to one that is reduced, and to the
            vectors of the windows, (N, 512, h - S + 1, w - S + 1). The window at (y, x) covers the
            cells from there to y + S - 1 and x + S - 1.
        score_head: maps these three to the windows' scores, logits (N, h - S + 1, w - S + 1).
        refinement: SharpMask's top-down path; None: DeepMask.
    """

    def __init__(self, settings: DeepMaskModelSettings, num_classes: int) -> None:
        """Make a network with random weights; the number of classes does not matter."""
        super().__init__()
        self.settings = settings
        self.stride = settings.backbone.stride
        self.window = settings.window
        self.backbone = PatchBackbone(settings.backbone)
        map_channels = self.backbone.bottom_up.map_channels
        self.bottleneck = Bottleneck(map_channels[0], settings)
        self.coarse_mask = nn.Conv2d(
            settings.bottleneck_channels, settings.mask_resolution**2, kernel_size=1
        )
        self.score_head = ScoreHead(map_channels[0], settings)
        self.refinement: Refinement | None = None
        if settings.refinement is not None:
            self.refinement = Refinement(map_channels, settings)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the trunk's maps of images (N, 3, H, W), RGB, 0 to 255, from coarse to fine.

        They are (N, C_i, H / t, W / t), for strides t of 16, 8, 4, 2 with four poolings, and of 8,
        4, 2 with three. Sides that are multiples of `stride` make windows fit.
        """
        maps: list[Tensor] = self.backbone(images)
        return maps

    def coarse_masks(self, vectors: Tensor) -> Tensor:
        """Map vectors (R, 512) to DeepMask's mask logits over the patch, (R, 56, 56)."""
        side = self.settings.mask_resolution
        masks: Tensor = self.coarse_mask(vectors[:, :, None, None])
        return masks.reshape(-1, side, side)

    def forward(self, images: list[Tensor], targets: list[PatchTarget]) -> dict[str, Tensor]:
        """Return the losses of one training step, to be summed without weights.

        Args:
            images: stacks of patches with their context, each (P, 3, H, H) with H = `patch_px` + 2
                `context_px`, cut from one image.
            targets: one for each stack.
        """
        target = PatchTarget.joined(targets)
        features = [
            self._without_context(x, i) for i, x in enumerate(self.features(torch.cat(images)))
        ]
        reduced, vectors = self.bottleneck(features[0])
        flat = vectors.flatten(1)
        count = self.settings.patches_in_sum
        if self.refinement is not None:
            masks = self.refinement(flat, self.refinement.skips(features))
            return {"loss_mask": count * mask_loss(masks, target)}
        scores = self.score_head(features[0], reduced, vectors).flatten()
        return {
            "loss_mask": count * mask_loss(self.coarse_masks(flat), target),
            "loss_score": count * self.settings.score_weight * score_loss(scores, target),
        }

    def _without_context(self, maps: Tensor, module: int) -> Tensor:
        cells = self.settings.context_px * 2**module // self.stride
        return maps[:, :, cells : maps.shape[2] - cells, cells : maps.shape[3] - cells]
