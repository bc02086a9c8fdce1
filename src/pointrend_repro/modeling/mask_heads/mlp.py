"""Fully connected mask heads: "MLP" in Mask R-CNN's Table 2e (1703.06870).

The table has two, `fc: 1024-1024-80*28^2` and one with three hidden layers. The paper does not give
their input: it is the FCN branch's, 14x14 RoI features.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.boxes import is_being_exported
from pointrend_repro.modeling.init import init_normal, init_xavier
from pointrend_repro.modeling.mask_heads.grid import GridMaskHead, classes_are_apart, mask_channels
from pointrend_repro.modeling.pooling import RoiLayer
from pointrend_repro.settings.heads import MlpMaskSettings
from pointrend_repro.settings.instances import InferenceSettings


class MlpMaskHead(GridMaskHead):
    """Predicts all cells of a mask from all RoI features of its box."""

    def __init__(
        self, in_channels: int, num_classes: int, settings: MlpMaskSettings, roi_layer: RoiLayer
    ) -> None:
        super().__init__()
        self.mask_loss = settings.mask_loss
        self.classes_are_apart = classes_are_apart(settings)
        self.roi_layer = roi_layer
        self.roi_resolution = settings.roi_resolution
        self.resolution = settings.resolution
        width = settings.channels
        sizes = [in_channels * self.roi_resolution**2] + [width] * settings.hidden_layers
        self.fcs = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.channels = mask_channels(settings, num_classes)
        self.mask_predictor = nn.Linear(width, self.channels * self.resolution**2)
        init_xavier(*self.fcs)
        init_normal(self.mask_predictor, std=0.001)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return mask logits (R, K, S, S), as `GridMaskHead` does."""
        return self.from_roi_features(self.roi_layer(features, boxes, self.roi_resolution))

    def from_roi_features(self, roi_features: Tensor) -> Tensor:
        """Map RoI features (R, C, 14, 14) to mask logits (R, K, S, S)."""
        logits: Tensor = self.mask_predictor(self._hidden(roi_features))
        return logits.view(logits.shape[0], self.channels, self.resolution, self.resolution)

    def predict(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: InferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, S, S) of each box's class, without those of the others.

        The last layer's weights are taken class by class, since a copy of them for each box would
        be three megabytes. A class of a softmax needs the others, and a graph cannot have this
        loop.
        """
        if not self.classes_are_apart or is_being_exported():
            return super().predict(features, boxes, labels, settings)
        hidden = self._hidden(self.roi_layer(features, boxes, self.roi_resolution))
        classes = torch.cat(labels)
        side = self.resolution
        weights, biases = (
            self.mask_predictor.weight.split(side**2),
            self.mask_predictor.bias.split(side**2),
        )
        logits = hidden.new_empty(hidden.shape[0], side**2)
        for k in classes.unique().tolist():
            of_class = classes == k
            logits[of_class] = F.linear(hidden[of_class], weights[k], biases[k])
        return logits.view(-1, side, side)

    def _hidden(self, roi_features: Tensor) -> Tensor:
        x = roi_features.flatten(1)
        for fc in self.fcs:
            x = F.relu(fc(x))
        return x
