"""The assembled semantic model: backbone, decoder and, if it has one, PointRend."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.backbone import FPNBackbone, TrunkBackbone
from pointrend_repro.modeling.parts import Part
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.modeling.semantic.deeplabv3 import DeepLabV3Decoder
from pointrend_repro.modeling.semantic.losses import IGNORED
from pointrend_repro.modeling.semantic.point_refine import PointRefiner, RefinementStep
from pointrend_repro.modeling.semantic.semantic_fpn import SemanticFPNDecoder
from pointrend_repro.modeling.semantic.upsampling import Size, label_map
from pointrend_repro.settings.semantic import (
    DeepLabV3Settings,
    SemanticFPNSettings,
    SemanticInferenceSettings,
    SemanticModelSettings,
)


class SemanticModel(nn.Module):
    """Labels every pixel of an image with one of K classes.

    Images are (3, H, W) RGB tensors of 0 to 255, of any sizes; label maps are (H, W), of train ids
    0 to K - 1 and 255 where a pixel does not count.

    `decoder` holds what DeepLabV3's recipe trains at another rate than the trunk: ASPP and the
    prediction convolution (supplement, section 2).
    """

    def __init__(self, settings: SemanticModelSettings, num_classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.num_classes = num_classes
        self.backbone: TrunkBackbone
        self.decoder: DeepLabV3Decoder | SemanticFPNDecoder
        match settings.decoder:
            case DeepLabV3Settings() as decoder:
                self.backbone = TrunkBackbone(settings.backbone)
                res2, _, _, res5 = self.backbone.bottom_up.out_channels
                fine_channels = res2
                self.decoder = DeepLabV3Decoder(res5, num_classes, decoder)
                self.decoder.set_output_stride(settings.backbone.output_stride)
            case SemanticFPNSettings() as decoder:
                self.backbone = FPNBackbone(settings.backbone)
                fine_channels = self.backbone.channels
                self.decoder = SemanticFPNDecoder(fine_channels, num_classes, decoder)
        self.refiner: PointRefiner | None = None
        if settings.pointrend is not None:
            self.refiner = PointRefiner(fine_channels, num_classes, settings.pointrend)

    def forward(
        self, images: list[Tensor], labels: list[Tensor], parts: list[Part] | None = None
    ) -> dict[str, Tensor]:
        """Return the losses of one training step, to be summed without weights.

        Args:
            images: N tensors (3, H_n, W_n).
            labels: N label maps (H_n, W_n), of any integer type.
            parts: micro-batches within which losses are averaged and hard pixels ranked, before the
                mean over all images is taken; none: all images at once.
        """
        features = self.backbone(images)
        hidden = self.decoder.hidden(features)
        fine = features[self.decoder.fine_level].float()
        targets = _pad_labels(labels, self.backbone.padded_size(images))
        losses: dict[str, Tensor] = {}
        first = 0
        for part in parts or [Part(len(images))]:
            own = slice(first, first := first + part.images)
            if part.seed is not None:
                torch.manual_seed(part.seed)
            share = part.images / len(images)
            for name, loss in self._losses(hidden[own], fine[own], targets[own]).items():
                losses[name] = losses.get(name, 0.0) + loss * share
        return losses

    def _losses(self, hidden: Tensor, fine: Tensor, targets: Tensor) -> dict[str, Tensor]:
        coarse = self.decoder.predict(hidden).float()
        losses = {"loss_sem_seg": self.decoder.loss(coarse, targets)}
        if self.refiner is not None:
            losses["loss_sem_seg_point"] = self.refiner.loss(coarse, fine, targets)
        return losses

    @torch.no_grad()
    def predict(
        self,
        images: list[Tensor],
        settings: SemanticInferenceSettings,
        sizes: list[Size] | None = None,
    ) -> list[Tensor]:
        """Return the label map of each image.

        Args:
            images: N tensors (3, H_n, W_n).
            settings: how to predict.
            sizes: height and width of each label map to return; none: those of the images.

        Returns:
            N label maps (H_n, W_n) uint8.

        Raises:
            UserError: the model cannot have the output stride that the settings ask for.
        """
        inputs = [(int(i.shape[1]), int(i.shape[2])) for i in images]
        with self._at_output_stride(settings.output_stride):
            padded = self.backbone.padded_size(images)
            if self.refiner is not None and {padded} == {*inputs, *(sizes or inputs)}:
                return list(self._refined_labels(images, settings))
            logits = self._logits(images, settings)
        return [
            label_map(one, padded_size=padded, input_size=size, output_size=output)
            for one, size, output in zip(logits, inputs, sizes or inputs, strict=True)
        ]

    @torch.no_grad()
    def refinement(
        self, images: list[Tensor], settings: SemanticInferenceSettings
    ) -> list[RefinementStep]:
        """Return PointRend's prediction step by step (Figure 9), the coarse one first.

        The coarse step has no points; a model without PointRend has only this one. All steps are
        held in memory, the last at the resolution of the padded batch.
        """
        with self._at_output_stride(settings.output_stride):
            return list(self._steps(images, settings))

    def _refined_labels(self, images: list[Tensor], settings: SemanticInferenceSettings) -> Tensor:
        """Return the labels (N, H, W) of the padded batch, without logits of its resolution."""
        assert self.refiner is not None
        features = self.backbone(images)
        coarse, fine = self.decoder(features).float(), features[self.decoder.fine_level].float()
        del features  # the large maps of the other stages
        size = self.backbone.padded_size(images)
        return self.refiner.labels(coarse, fine, size, points_per_step=settings.points_per_step)

    def _logits(self, images: list[Tensor], settings: SemanticInferenceSettings) -> Tensor:
        """Return the last step's logits (N, K, h, w), keeping none of those before it."""
        for step in self._steps(images, settings):
            logits = step.logits
        return logits

    def _steps(
        self, images: list[Tensor], settings: SemanticInferenceSettings
    ) -> Iterator[RefinementStep]:
        features = self.backbone(images)
        coarse = self.decoder(features).float()
        yield RefinementStep(coarse, coarse.new_zeros(len(images), 0, 2))
        if self.refiner is not None:
            fine = features[self.decoder.fine_level].float()
            del features  # the large maps of the other stages
            size = self.backbone.padded_size(images)
            yield from self.refiner.steps(
                coarse, fine, size, points_per_step=settings.points_per_step
            )

    @contextmanager
    def _at_output_stride(self, output_stride: int | None) -> Iterator[None]:
        """Predict at another output stride than the model was trained at, with the same weights."""
        trained = self.settings.backbone.output_stride
        if output_stride is None or output_stride == trained:
            yield
            return
        self._set_output_stride(output_stride)
        try:
            yield
        finally:
            self._set_output_stride(trained)

    def _set_output_stride(self, output_stride: int) -> None:
        if not isinstance(self.decoder, DeepLabV3Decoder):
            raise UserError(
                f"output_stride {output_stride}: only DeepLabV3 can change its output stride"
            )
        trunk = self.backbone.bottom_up
        assert isinstance(trunk, ResNet)
        trunk.set_output_stride(output_stride)
        self.decoder.set_output_stride(output_stride)


def _pad_labels(labels: list[Tensor], size: Size) -> Tensor:
    """Stack into the upper left corners of (N, H, W) int64; all other pixels do not count."""
    batch = labels[0].new_full((len(labels), *size), IGNORED, dtype=torch.int64)
    for slot, one in zip(batch, labels, strict=True):
        slot[: one.shape[0], : one.shape[1]] = one
    return batch
